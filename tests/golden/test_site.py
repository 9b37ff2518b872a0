"""The documentation as a site: it is whole, shows what the files say, and loads nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from charts.monitoring.alerts import ALERTS
from charts.monitoring.pages import RUNBOOKS
from tests.golden.navigation import with_runbooks

ROOT = Path(__file__).parents[2]
# What Markdown leaves in a paragraph if it does not recognise a list, a table or a block of code.
_NOT_RECOGNISED = re.compile(r"^\s*(?:[-*] |\d+\. |\|.*\|$|```)", re.MULTILINE)
_TEXTS = ("p", "li")
_ELEMENTS = {
    *("article", "h1", "h2", "h3", "h4", "p", "a", "ul", "ol", "li", "code", "pre", "div", "span", "strong", "em"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_LOADED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class _Page(HTMLParser):
    """Texts of paragraphs and items, names of elements in the article, and what a browser would load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.paragraphs: list[str] = []
        self.elements: set[str] = set()
        self.loaded: list[str] = []
        self._is_article = self._is_paragraph = self._is_code = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self._is_article |= tag == "article"
        if self._is_article:
            self.elements.add(tag)
        self._is_code |= tag == "code"
        if tag in _TEXTS and self._is_article:
            self._is_paragraph = True
            self.paragraphs.append("")
        if tag in _LOADED and found.get("rel") != "canonical":
            self.loaded.append(found.get(_LOADED[tag]) or "")

    def handle_endtag(self, tag: str) -> None:
        self._is_article &= tag != "article"
        self._is_paragraph &= tag not in _TEXTS
        self._is_code &= tag != "code"

    def handle_data(self, data: str) -> None:
        if self._is_paragraph and not self._is_code:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    done = _build(ROOT, directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def _build(source: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    """As `make lint` does it: with `--quiet` mkdocs would not count its warnings."""
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(directory)]
    return subprocess.run(build, cwd=source, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("index.md", "[nowhere](nowhere.md)"),
        ("index.md", "[no such heading](install.md#nowhere)"),
        ("index.md", "[outside](../Makefile)"),
        ("unlisted.md", "# A page that is not in the navigation"),
    ],
)
def test_build_fails_for(name: str, text: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / name).open("a") as page:
        page.write(f"\n{text}\n")
    assert _build(tmp_path, tmp_path / "site").returncode != 0


def _pages(site: Path) -> Iterator[tuple[str, _Page]]:
    for path in sorted(site.rglob("*.html")):
        yield str(path.relative_to(site)), _Page(path.read_text())


def test_every_page_is_there(site: Path) -> None:
    docs = ROOT / "docs"
    named = (path.with_stem("index") if path.stem == "README" else path for path in docs.rglob("*.md"))
    expected = {str(path.relative_to(docs).with_suffix(".html")) for path in named}
    assert {name for name, _ in _pages(site)} == expected | {"404.html"}


def test_alerts_and_dashboards_link_to_pages_that_are_there(site: Path) -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
    alerts = [rule["annotations"]["runbook_url"] for group in rules["groups"] for rule in group["rules"]]
    dashboards = [path.read_text() for path in (ROOT / "charts" / "isthmus" / "dashboards").glob("*.json")]
    panels = [name for text in dashboards for name in re.findall(r"\$\{runbooks:raw\}/([^\"]*)", text)]
    assert len(alerts) == len(ALERTS)
    assert len(panels) > len(dashboards)
    linked = {*(address.removeprefix(f"{RUNBOOKS}/") for address in alerts), *panels}
    assert {name for name in linked if not (site / "runbooks" / name).is_file()} == set()


def test_lists_tables_and_code_are_recognised(site: Path) -> None:
    """The site's Markdown is stricter than others: it wants four spaces in lists, and an empty line before them."""
    found = ((name, text) for name, page in _pages(site) for text in page.paragraphs)
    assert [f"{name}: {text}" for name, text in found if _NOT_RECOGNISED.search(text)] == []


def test_no_text_is_taken_for_an_element(site: Path) -> None:
    """Such as a cloud ID in angle brackets."""
    other = {name: page.elements - _ELEMENTS for name, page in _pages(site)}
    assert {name: elements for name, elements in other.items() if elements} == {}


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    addresses = {(name, address) for name, page in _pages(site) for address in page.loaded}
    assert {found for found in addresses if "//" in found[1]} == set()
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", path.read_text()), path.name


def test_runbooks_are_in_the_navigation() -> None:
    configuration = (ROOT / "mkdocs.yml").read_text()
    assert with_runbooks(configuration) == configuration, "run `make generate` and commit the result"


def test_a_runbook_appears_in_the_navigation(tmp_path: Path) -> None:
    directory = tmp_path / "runbooks"
    directory.mkdir()
    for name in ("IsthmusTunnelDown", "index"):
        (directory / f"{name}.md").write_text("# A runbook\n")
    text = with_runbooks((ROOT / "mkdocs.yml").read_text(), tmp_path)
    assert "  - Runbooks:\n      - runbooks/index.md\n      - runbooks/IsthmusTunnelDown.md\n" in text
