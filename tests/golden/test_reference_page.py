"""What docs/reference.md says of metrics by hand, and what the generated pages say, agrees with the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charts import document as values
from isthmus.cli import commands
from isthmus.model.api import document as resources
from isthmus.plugin import arguments
from isthmus.plugin.core.verbs import VERBS, Verb
from isthmus.telemetry.metrics import FAMILIES, Metrics

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"commands.md": commands.render, "resources.md": resources.render, "values.md": values.render}
_WITH_SUFFIX = {"counter": "_total"}


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_current(name: str) -> None:
    assert (DOCS / name).read_text() == PAGES[name](), "run `make generate` and commit the result"


def test_every_metric_is_described_with_its_labels() -> None:
    text = (DOCS / "reference.md").read_text().partition("\n## Metrics\n")[2]
    items = re.findall(r"^- ((?:\*\*`\w+`\*\*(?:,\s+)?)+)(?: \(([^)]*)\))?:", text, re.MULTILINE)
    described = {name: set(re.findall(r"\w+", labels)) for names, labels in items for name in re.findall(r"\w+", names)}
    assert described == _metrics()


def _metrics() -> dict[str, set[str]]:
    found = {f"{each.name}{_WITH_SUFFIX.get(each.kind, '')}": set(each.labels) for each in FAMILIES}
    process = Metrics()
    found |= {f"{each.name}{_WITH_SUFFIX.get(each.type, '')}": set() for each in process.process.collect()}
    for metric in vars(process).values():
        for each in getattr(metric, "describe", list)():
            found[f"{each.name}{_WITH_SUFFIX.get(each.type, '')}"] = set(metric._labelnames)
    return found


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_of_a_verb_is_what_the_page_says(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        arguments.parse([verb.name, "--help"])
    printed = " ".join(capsys.readouterr().out.split())
    section = (DOCS / "commands.md").read_text().partition(f"### kubectl isthmus {verb.name}\n")[2].partition("\n##")[0]
    items = re.findall(r"^- \*\*`([^`]+)`\*\*[^:]*: (.*?)\.?$", section.replace("\n  ", " "), re.MULTILINE)
    assert len(items) == len(verb.options)
    for spelling, text in items:
        assert text in printed
        assert spelling.split(",")[0].split()[0] in printed
