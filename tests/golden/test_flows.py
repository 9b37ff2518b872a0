"""The exact flows of br-cloud. `python -m tests.golden.test_flows` rewrites them: review the difference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from isthmus.core.node.flows import render
from isthmus.model.node.flows import PlannedLink, PlannedNetwork
from isthmus.model.node.pipeline import COOKIE_SHIFT, OWNER

DIRECTORY = Path(__file__).parent / "flows"
PORTS = {"isprobe": 1, "tunnel-b": 2, "tunnel-c": 3, "red": 4, "blue": 5, "not-yet": -1}
TO_B = PlannedLink("cloud-b", "tunnel-b", 0x100000, "02:00:00:00:00:b0")
TO_C = PlannedLink("cloud-c", "tunnel-c", 0x180000, "02:00:00:00:00:c0")
RED = PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B,))

CASES = {
    "nothing": (),
    "origin": (RED,),
    "receiver": (PlannedNetwork("red", "red", False, ("10.20.0.1", "10.21.0.1"), (TO_B,)),),
    "two-tenants-same-addresses": (
        RED,
        PlannedNetwork(
            "blue", "blue", True, ("10.20.0.1",), (PlannedLink("cloud-b", "tunnel-b", 0x100001, "02:00:00:00:00:b1"),)
        ),
    ),
    "two-peers": (PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B, TO_C)),),
}


def _text(case: str) -> str:
    table = render(CASES[case], PORTS)
    return "".join(f"{line}\n" for line in [*table.flows, *(f"# {meter}" for meter in table.meters)])


@pytest.mark.parametrize("case", CASES)
def test_flows_are_as_reviewed(case: str) -> None:
    assert _text(case) == (DIRECTORY / f"{case}.flows").read_text()


@pytest.mark.parametrize("case", CASES)
def test_no_two_flows_have_the_same_match(case: str) -> None:
    """The switch would keep only the last one, and the count by cookie would never match."""
    matches = Counter(flow.split(" actions=")[0] for flow in render(CASES[case], PORTS).flows)
    assert [match for match, count in matches.items() if count > 1] == []


def test_networks_and_links_without_port_number_are_omitted() -> None:
    waiting = PlannedNetwork("blue", "not-yet", True, (), (TO_B,))
    halfway = PlannedNetwork("red", "red", True, ("10.20.0.1",), (TO_B, PlannedLink("x", "not-yet", 7, "02::")))
    assert render((halfway, waiting), PORTS) == render((RED,), PORTS)


def test_cookie_depends_on_the_flows() -> None:
    cookies = {render(networks, PORTS).cookie for networks in CASES.values()}
    assert len(cookies) == len(CASES)
    assert {cookie >> COOKIE_SHIFT for cookie in cookies} == {OWNER}
    assert render(CASES["origin"], PORTS).cookie == render(CASES["origin"], PORTS).cookie


def test_no_frame_passes_from_peer_to_peer() -> None:
    """Split horizon: frames from a tunnel are sent to the patch by the learning step and never reach the flood."""
    flows = render(CASES["two-peers"], PORTS).flows
    paths_to_the_flood = [flow for flow in flows if "goto_table:4" in flow or "goto_table:6" in flow]
    assert all("reg1=0 " in flow or "table=4," in flow for flow in paths_to_the_flood)
    assert [flow for flow in flows if "table=3," in flow and "goto" in flow] == []


if __name__ == "__main__":
    DIRECTORY.mkdir(exist_ok=True)
    for name in CASES:
        (DIRECTORY / f"{name}.flows").write_text(_text(name))
