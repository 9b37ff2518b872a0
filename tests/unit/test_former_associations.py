"""A peer may still send by SAs of former settings: what they decrypt has its inner ends and fences until they end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node import ipsec
from isthmus.core.node.inner import inner_ends
from isthmus.model.errors import ExternalError, Invalid, Unavailable
from isthmus.model.names import tunnel_port
from isthmus.model.node.ipsec import SecurityAssociation, reqids
from isthmus.model.node.switch import TunnelPort
from isthmus.model.node.tunnel import Gre, ModeName, TunnelEnds
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.nodeobjects import ADDRESS, PEER, attachment, peer, peerlink

INNER = inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b")
OUTER = TunnelEnds(ADDRESS, "198.51.100.11")
TUNNEL = TunnelPort(tunnel_port(PEER, "gw-b1"), Gre(), INNER)


def agree_on(harness: AgentHarness, mode: ModeName) -> None:
    controller, link = FakeCluster(harness.store), peerlink(encapsulation="GRE", mode=mode)
    controller.apply(link)
    controller.apply_status(link)


@pytest.fixture
def harness() -> AgentHarness:
    """A node with a peer by GRE in tunnel mode."""
    harness = AgentHarness()
    harness.kubectl.apply(attachment())
    agree_on(harness, "Tunnel")
    harness.settle()
    assert harness.node.inner_ends == {INNER}
    assert fences(harness) == {INNER}
    return harness


def fences(harness: AgentHarness) -> set[TunnelEnds]:
    """The ends that both fences are for."""
    elements = {e for s in harness.node.firewall.sets if s.name == "gre_gateways" for e in s.elements}
    both = {ends for ends in (INNER, OUTER) if ipsec.blocks_between(Gre(), ends) <= harness.node.blocks}
    return {ends for ends in both if ends.remote in elements}


def test_they_stay_until_the_peer_has_the_new_settings_too(harness: AgentHarness) -> None:
    harness.node.peer_answers = False
    agree_on(harness, "Transport")
    harness.settle()
    assert {t.ends for t in harness.node.ports.tunnels} == {OUTER}
    assert harness.node.inner_ends == {INNER}
    assert fences(harness) == {INNER, OUTER}
    harness.node.peer_answers = True
    harness.settle()
    assert (harness.node.inner_ends, fences(harness)) == (frozenset(), {OUTER})


def test_they_go_as_soon_as_the_associations_have_ended(harness: AgentHarness) -> None:
    """Without waiting until everything is reconciled again."""
    harness.node.peer_answers = False
    agree_on(harness, "Transport")
    harness.settle()
    reqids_before = reqids(Gre(), INNER)
    harness.node.associations = frozenset(a for a in harness.node.associations if a.reqid not in reqids_before)
    for _ in range(2):
        harness.clock.seconds += 1
        harness.iterate()
    assert (harness.node.inner_ends, fences(harness)) == (frozenset(), {OUTER})


def test_what_a_killed_charon_has_left_of_a_peer_goes_with_it(harness: AgentHarness) -> None:
    """Nothing else would end it before it expires, and a peer that has gone could send by it."""
    harness.node.restart_charon()
    harness.delete(attachment())
    harness.delete(peer())
    assert harness.node.associations
    harness.settle()
    assert harness.node.associations == frozenset()
    assert (harness.node.inner_ends, harness.node.blocks) == (frozenset(), frozenset())


def test_which_associations_are_former_ones() -> None:
    (reqid,) = reqids(Gre(), INNER)
    ours = SecurityAssociation("192.0.2.11", "198.51.100.11", 1, "esp", reqid)
    assert ipsec.former_associations({ours}, [TUNNEL]) == frozenset()
    assert ipsec.former_associations({ours}, [replace(TUNNEL, ends=OUTER)]) == {ours}
    assert ipsec.former_associations({replace(ours, reqid=7)}, []) == frozenset(), "another's"
    assert ipsec.former_associations({replace(ours, protocol="ah")}, []) == frozenset()


@pytest.mark.parametrize("error", [Unavailable("no answer"), Invalid("a flow is rejected")])
def test_fences_stay_until_no_flow_sends_echoes_to_former_ends(harness: AgentHarness, error: ExternalError) -> None:
    """Echo ports send wherever flows say, and these cannot be changed for the moment."""
    harness.node.refuses_flows = error
    agree_on(harness, "Transport")
    harness.settle()
    assert INNER.remote in harness.node.flow_text()
    assert fences(harness) == {INNER, OUTER}
    harness.node.refuses_flows = None
    harness.settle()
    assert INNER.remote not in harness.node.flow_text()
    assert fences(harness) == {OUTER}
