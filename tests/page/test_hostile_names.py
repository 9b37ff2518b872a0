"""Names that another company or a tenant has chosen are text, whatever they are."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Browser, Error

from isthmus.model.text import printable
from tests.fakes.topologies import HOSTILE_NAMES, many, with_names, with_tunnels_down

from .browser import Served, opened

_INLINE = """
const script = document.createElement("script");
script.text = "window.taken = true";
document.head.append(script);
"""


def test_hostile_names_are_text(browser: Browser, served: Served) -> None:
    served.shows(with_names(with_tunnels_down(many(8, 20), "peer-01"), HOSTILE_NAMES))
    with opened(browser, served) as tab:
        rows = tab.page.locator("#table").inner_text()
        for name in HOSTILE_NAMES:
            assert " ".join(printable(name).split()) in " ".join(rows.split())
        elements = tab.page.evaluate("[...new Set([...document.querySelectorAll('*')].map((each) => each.localName))]")
        assert not {"img", "b", "iframe", "style", "form", "object"} & set(elements)
        assert tab.page.locator("script").count() == 1
        tab.node("peer-01").locator(".shape").click()
        tab.page.locator("#panel h2").wait_for()
        assert tab.page.title() == "Isthmus topology"
        _require_no_overflow(tab.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]"))
        tab.photograph("hostile")


def test_names_of_peers_are_text(browser: Browser, served: Served) -> None:
    """Kubernetes does not admit such names, and another release or an attacker's kubectl may print them."""
    items = many(8, 2)
    names = dict(zip((f"peer-{number:02}" for number in range(8)), HOSTILE_NAMES, strict=True))
    for item in items:
        if item["kind"] == "CloudPeer":
            item["metadata"]["name"] = names[item["metadata"]["name"]]
    served.shows(items)
    with opened(browser, served) as tab:
        assert tab.nodes.count() >= 9
        for node in range(8):
            tab.nodes.nth(node).locator(".shape").click()
            tab.page.locator("#panel h2, #panel p").first.wait_for()
        assert tab.page.title() == "Isthmus topology"
        tab.photograph("hostile-peers")


def test_the_policy_refuses_what_would_run(browser: Browser, served: Served) -> None:
    served.shows(many(1, 1))
    with opened(browser, served) as tab:
        with pytest.raises(Error, match="TrustedHTML"):
            tab.page.evaluate("document.body.innerHTML = '<b>x</b>'")
        with pytest.raises(Error, match="TrustedScript"):
            tab.page.evaluate(_INLINE)
        image = "(() => { document.body.append(Object.assign(new Image(), {src: 'https://example.org/x'})); })()"
        tab.page.evaluate(image)
        tab.page.wait_for_function("window.violations.length >= 3")
        assert not tab.page.evaluate("Boolean(window.taken)")
        assert "img-src https://example.org/x" in tab.violations
        tab.messages.clear()
        tab.page.evaluate("window.violations = []")


def test_nothing_is_loaded_from_elsewhere(browser: Browser, served: Served) -> None:
    served.shows(many(1, 1))
    with opened(browser, served) as tab:
        requested: list[str] = []
        tab.page.on("request", lambda request: requested.append(request.url))
        tab.page.reload()
        tab.node("peer-00").wait_for()
        origin = served.address.partition("#")[0]
        names = {url.removeprefix(origin).partition("?")[0] for url in requested}
        assert names == {"", "page.css", "page.js", "elements.js", "picture.js", "table.js", "topology.json"}


def test_another_site_reads_nothing(browser: Browser, served: Served) -> None:
    """It may send requests to 127.0.0.1, also with a guess of the token; it sees no answer."""
    served.shows(many(1, 1))
    origin, _, token = served.address.partition("#")
    context = browser.new_context()
    page = context.new_page()
    page.route("https://evil.example/*", lambda route: route.fulfill(body="<p>", content_type="text/html"))
    page.goto("https://evil.example/")
    for options in ({}, {"headers": {"X-Isthmus-Token": token}}, {"mode": "no-cors"}):
        code = f"fetch('{origin}topology.json', {json.dumps(options)}).then((answer) => answer.text())"
        with pytest.raises(Error, match="Failed to fetch"):
            page.evaluate(code)
    context.close()
    request = urllib.request.Request(f"{origin}topology.json", headers={"X-Isthmus-Token": token})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["topology"]["cloudID"] == "cloud-a", "the token is the right one"


def _require_no_overflow(widths: list[int]) -> None:
    content, window = widths
    assert content <= window
