"""Many ports are added in several transactions, since ovs-vswitchd applies one transaction as a whole."""

from __future__ import annotations

import pytest

from isthmus.agent import bridge
from isthmus.model.names import patch_in_cloud_bridge
from isthmus.model.node.switch import PatchPair
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import OWN, attachment, link

NETWORKS = tuple(f"0000000{number}-9cbb-4d3c-8d4e-000000000001" for number in range(5))


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> AgentHarness:
    """Two networks may be added in one transaction."""
    monkeypatch.setattr(bridge, "_MAX_PATCHES", 2)
    harness = AgentHarness()
    for number, network in enumerate(NETWORKS):
        harness.kubectl.apply(attachment(network, (link(0x100000 + number),)))
    return harness


def _networks(patches: frozenset[PatchPair]) -> set[str]:
    names = {patch_in_cloud_bridge(f"{OWN}.{network}"): network for network in NETWORKS}
    return {names[patch.cloud_name] for patch in patches}


def test_all_are_added_with_as_few_transactions_as_possible(harness: AgentHarness) -> None:
    harness.iterate()
    assert _networks(frozenset(harness.node.ports.patches)) == {*NETWORKS}
    assert harness.node.effects.count("apply") == 3


def test_one_that_is_refused_keeps_no_other_from_being_added(harness: AgentHarness) -> None:
    harness.node.foreign_tunnels[patch_in_cloud_bridge(f"{OWN}.{NETWORKS[0]}")] = 4789
    harness.iterate()
    assert _networks(frozenset(harness.node.ports.patches)) == {*NETWORKS[1:]}
