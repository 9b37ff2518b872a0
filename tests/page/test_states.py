"""What the page shows, and how soon it shows a change."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator

from tests.fakes.kubectl import forbidden
from tests.fakes.topologies import many, with_members, with_tunnels_down

from .browser import Served, opened, seconds_until

CUT = "PeerGatewayUnreachable at underlay (the peer, or the underlay between)"
_SECONDS_UNTIL_NAMED = 5.0


def test_a_tunnel_that_goes_down_is_red_and_named_within_seconds(browser: Browser, served: Served) -> None:
    items = many(3, 4)
    served.shows(items)
    with opened(browser, served) as tab:
        tab.page.get_by_text("All is well with 3 peers.").wait_for()
        assert tab.row("peer-01")[:4] == ["peer", "peer-01", "up", ""]
        tab.photograph("up")
        green = _colour(tab.lanes("peer-01", "tunnel"))
        served.shows(with_tunnels_down(items, "peer-01"))
        assert seconds_until(tab.lanes("peer-01", "tunnel").and_(tab.page.locator(".down"))) < _SECONDS_UNTIL_NAMED
        tab.page.locator("#headline").get_by_text(f"peer-01: {CUT}").wait_for(timeout=1000 * _SECONDS_UNTIL_NAMED)
        assert _is_red(_colour(tab.lanes("peer-01", "tunnel")))
        assert _colour(tab.lanes("peer-00", "tunnel")) == green
        assert not _is_red(green)
        assert tab.lanes("peer-01", "network").and_(tab.page.locator(".down")).count() == 4
        assert tab.node("peer-01").locator(".state").text_content() == "DOWN BFDDown"
        assert tab.row("peer-01") == ["peer", "peer-01", "DOWN", "BFDDown", f"peer-01: {CUT}"]
        tab.photograph("cut")
        served.shows(items)
        tab.page.get_by_text("All is well with 3 peers.").wait_for(timeout=1000 * _SECONDS_UNTIL_NAMED)
        assert tab.page.locator("#picture .down").count() == 0


def test_a_state_has_a_shape_and_a_text_and_not_only_a_colour(browser: Browser, served: Served) -> None:
    items = with_tunnels_down(many(2, 2), "peer-01")
    served.shows(items)
    with opened(browser, served) as tab:
        shapes = [tab.node(peer).locator(".shape").get_attribute("d") for peer in ("peer-00", "peer-01")]
        dashes = [
            tab.lanes(peer, "tunnel").evaluate("(lane) => getComputedStyle(lane).strokeDasharray")
            for peer in ("peer-00", "peer-01")
        ]
        assert len(set(shapes)) == len(set(dashes)) == 2
        assert tab.node("peer-01").get_attribute("aria-label") == "peer peer-01: DOWN BFDDown"
        assert "DOWN BFDDown" in (tab.lanes("peer-01", "tunnel").locator("title").text_content() or "")
        assert tab.page.locator("#legend li").all_inner_texts() == ["up", "DOWN", "waiting", "unknown"]


def test_the_path_to_another_receiver_is_in_the_table(browser: Browser, served: Served) -> None:
    served.shows(with_members(many(1, 2), {"number": 3, "up": True, "path": "Direct"}))
    with opened(browser, served) as tab:
        words = tab.page.get_by_text("from the peer").inner_text()
        assert words.endswith("; member 3 (cloud-c) directly: up; member 4: unknown")


def test_a_click_shows_the_words_of_diagnose(browser: Browser, served: Served) -> None:
    served.shows(with_tunnels_down(many(3, 4), "peer-01"))
    with opened(browser, served) as tab:
        tab.node("peer-01").locator(".shape").click()
        panel = tab.page.locator("#panel")
        panel.get_by_role("heading", name=f"peer-01: {CUT}").wait_for()
        assert "What to do: Check routes and firewalls between the gateways" in panel.inner_text()
        assert panel.locator("dt.down").all_inner_texts() == ["FAIL"]
        tab.photograph("diagnosis")
        tab.page.get_by_role("button", name="shop/web-0").last.click()
        panel.get_by_role("heading", name="peer-02, network shop/web-0: all is well").wait_for()
        panel.get_by_role("button", name="Close").click()
        panel.wait_for(state="hidden")
        tab.node("").locator(".shape").click()
        panel.get_by_role("heading", name="cloud-a: problems: 1").wait_for()
        served.shows(many(3, 4))
        panel.get_by_role("heading", name="cloud-a: problems: none").wait_for()


def test_a_cluster_that_does_not_answer_keeps_the_picture_and_says_why(browser: Browser, served: Served) -> None:
    served.shows(many(2, 2))
    with opened(browser, served) as tab:
        tab.node("peer-01").wait_for()
        served.kubectl.fails("Unable to connect to the server: dial tcp 192.0.2.1:6443: i/o timeout")
        alert = tab.page.get_by_role("alert")
        alert.get_by_text("the API server does not answer").wait_for()
        assert tab.nodes.count() == 3
        tab.photograph("unreachable")
        served.shows(many(2, 2))
        alert.wait_for(state="hidden")


def test_what_may_not_be_read_is_named(browser: Browser, served: Served) -> None:
    items = [item for item in many(2, 2) if item["kind"] != "CloudPeer"]
    served.shows(items)
    served.kubectl.objects(items, forbidden("cloudpeers"), 1)
    with opened(browser, served) as tab:
        tab.page.get_by_text("not read: cloudpeers: no right to list them at the cluster scope").wait_for()
        assert tab.row("peer-01")[:3] == ["peer", "peer-01", "unknown"]
        assert tab.row("gw-cloud-a to gw-peer-01 (198.51.100.2)")[2] == "up"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_photographs(browser: Browser, served: Served, scheme: str) -> None:
    served.shows(with_tunnels_down(many(6, 10), "peer-02"))
    with opened(browser, served, color_scheme=scheme) as tab:
        tab.node("peer-02").locator(".shape").click()
        tab.page.locator("#panel h2").wait_for()
        tab.photograph(f"six-{scheme}")


def test_the_end_of_the_command_is_shown(browser: Browser, served: Served) -> None:
    served.shows(many(1, 1))
    with opened(browser, served) as tab:
        code, printed = served.end()
        assert (code, printed.splitlines()[-1]) == (0, "The page has ended.")
        tab.page.get_by_role("alert").get_by_text("The command that serves this page has ended.").wait_for()
        tab.messages = [each for each in tab.messages if "ERR_CONNECTION_REFUSED" not in each]


def _colour(lanes: Locator) -> list[int]:
    found: str = lanes.evaluate("(lane) => getComputedStyle(lane).stroke")
    return [int(part) for part in found.removeprefix("rgb(").removesuffix(")").split(",")]


def _is_red(colour: list[int]) -> bool:
    red, green, blue = colour
    return red > 2 * green and red > 2 * blue
