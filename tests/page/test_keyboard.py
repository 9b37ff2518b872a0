"""The page without a mouse."""

from __future__ import annotations

from playwright.sync_api import Browser

from tests.fakes.topologies import many, with_tunnels_down

from .browser import Served, opened


def test_everything_is_reached_by_keys(browser: Browser, served: Served) -> None:
    served.shows(with_tunnels_down(many(3, 2), "peer-01"))
    with opened(browser, served) as tab:
        keyboard, panel = tab.page.keyboard, tab.page.locator("#panel")
        keyboard.press("Tab")
        assert tab.focused() == "Skip to the table"
        keyboard.press("Tab")
        assert tab.focused() == "peer peer-00: up"
        keyboard.press("ArrowRight")
        assert tab.focused() == "peer peer-01: DOWN BFDDown"
        tab.photograph("keyboard")
        keyboard.press("Enter")
        panel.get_by_role("heading", name="peer-01: PeerGatewayUnreachable").wait_for()
        assert tab.focused() == "peer peer-01: DOWN BFDDown", "it stays where it was"
        keyboard.press("Escape")
        panel.wait_for(state="hidden")
        keyboard.press("ArrowLeft")
        keyboard.press("ArrowLeft")
        assert tab.focused() == "peer peer-02: up"
        keyboard.press("Space")
        panel.get_by_role("heading", name="peer-02: all is well").wait_for()
        keyboard.press("Tab")
        assert tab.focused() == "this cloud: gw-cloud-a up"
        keyboard.press("Enter")
        panel.get_by_role("heading", name="cloud-a: problems: 1").wait_for()


def test_the_focus_outlives_updates(browser: Browser, served: Served) -> None:
    items = many(3, 2)
    served.shows(items)
    with opened(browser, served) as tab:
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("ArrowRight")
        served.shows(with_tunnels_down(items, "peer-00"))
        tab.page.locator("#picture .node.down").wait_for()
        assert tab.focused() == "peer peer-01: up"
        tab.page.get_by_role("button", name="peer-02").last.focus()
        served.shows(many(4, 2))
        tab.node("peer-03").wait_for()
        assert tab.focused() == "peer-02"


def test_the_table_is_used_by_keys(browser: Browser, served: Served) -> None:
    served.shows(with_tunnels_down(many(10, 50), "peer-01"))
    with opened(browser, served) as tab:
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Enter")  # to the table
        assert tab.page.url == served.address, "the token is still there"
        tab.page.keyboard.press("Tab")
        assert tab.focused() == "peer-00"
        tab.page.keyboard.press("Tab")
        assert tab.focused() == "Show 50 networks, 0 of them not up"
        tab.page.keyboard.press("Enter")
        assert tab.focused() == "Hide 50 networks, 0 of them not up"
        tab.page.keyboard.press("Tab")
        assert tab.focused() == "shop/web-0 (web 0)"
        tab.page.keyboard.press("Enter")
        heading = "peer-00, network shop/web-0: all is well"
        tab.page.locator("#panel").get_by_role("heading", name=heading).wait_for()
