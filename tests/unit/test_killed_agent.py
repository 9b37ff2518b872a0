"""An agent that is killed after any effect reaches, after a restart, the same state as one that was not killed.

The effects are enumerated from an empty node to an empty node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from isthmus.model import names
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.switch import Ports
from isthmus.model.node.tunnel import ModeName
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.killing import Effects, Killed
from tests.fakes.nodeobjects import BLUE, PEER, RED, attachment, link, peer, peerlink

TUNNEL = names.tunnel_port(PEER, "gw-b1")
Step = Callable[[AgentHarness], None]


def _peer_only(harness: AgentHarness) -> None:
    """Nothing more: there is a peer from the beginning."""


def _tunnel_mode(harness: AgentHarness, mode: ModeName = "Tunnel") -> None:
    controller = FakeCluster(harness.store)
    controller.apply(peerlink(mode=mode))
    controller.apply_status(peerlink(mode=mode))


def _transport_mode(harness: AgentHarness) -> None:
    _tunnel_mode(harness, "Transport")


def _stretch(harness: AgentHarness) -> None:
    harness.kubectl.apply(attachment(RED))
    harness.kubectl.apply(attachment(BLUE, (link(0x100001),)))


def _stretch_in_tunnel_mode(harness: AgentHarness) -> None:
    _tunnel_mode(harness)
    _stretch(harness)


def _withdraw_one(harness: AgentHarness) -> None:
    harness.delete(attachment(RED))


def _delete_peer(harness: AgentHarness) -> None:
    for network in (RED, BLUE):
        harness.delete(attachment(network))
    harness.delete(peer())


def _flush(harness: AgentHarness) -> None:
    """`ip xfrm policy flush; ip xfrm state flush; nft flush ruleset`."""
    harness.node.flush_xfrm()
    harness.node.firewall = harness.node.clamps = Ruleset()


class Case(NamedTuple):
    """Steps completed before, the step during which the agent is killed, and the effects of that step."""

    before: tuple[Step, ...]
    step: Step
    node_effects: list[str]
    other_effects: int
    """Number of initiations and status writes."""


FENCES = ["add_blocks", "replace_table"]
CLAMPS = "replace_table of devices"
SETUP = [*FENCES, f"load {TUNNEL}", "ensure_bridge", "apply", CLAMPS, "set_numbers", "replace"]
TUNNEL_MODE_SETUP = [*SETUP[:2], "ensure_ends", *SETUP[2:]]
REMOVED = ["remove_table of devices", "replace", "apply", "remove_bridge"]
TEARDOWN = [*REMOVED, f"unload {TUNNEL}", "remove_blocks", "remove_table"]
TUNNEL_MODE_TEARDOWN = [*TEARDOWN[:5], "remove_ends_except", *TEARDOWN[5:]]
CHANGE_OF_MODE = [
    *FENCES, "ensure_ends", f"load {TUNNEL}", "apply", CLAMPS, "replace", f"retire {TUNNEL}",
    "remove_blocks", "replace_table",
]  # fmt: skip
CHANGE_BACK = [
    *FENCES, f"load {TUNNEL}", "apply", CLAMPS, "replace", f"retire {TUNNEL}",
    "remove_ends_except", "remove_blocks", "replace_table",
]  # fmt: skip
CASES = {
    "first peer": Case((), _peer_only, SETUP, 3),
    "everything at once": Case((), _stretch, SETUP, 7),
    "networks of a peer": Case((_peer_only,), _stretch, ["apply", "set_numbers", "replace"], 4),
    "one network less": Case((_stretch,), _withdraw_one, ["replace", "apply"], 0),
    "everything flushed": Case((_stretch,), _flush, [*FENCES, CLAMPS, f"rekey {TUNNEL}"], 2),
    "end of everything": Case((_stretch,), _delete_peer, TEARDOWN, 1),
    "everything at once in tunnel mode": Case((), _stretch_in_tunnel_mode, TUNNEL_MODE_SETUP, 7),
    "from transport to tunnel mode": Case((_stretch,), _tunnel_mode, CHANGE_OF_MODE, 4),
    "from tunnel to transport mode": Case((_tunnel_mode, _stretch), _transport_mode, CHANGE_BACK, 4),
    "end of everything in tunnel mode": Case((_tunnel_mode, _stretch), _delete_peer, TUNNEL_MODE_TEARDOWN, 1),
}


def _prepared(case: Case, effects: Effects) -> AgentHarness:
    """A harness with the preceding steps completed; the effects of the step itself are counted."""
    harness = AgentHarness()
    for step in case.before:
        step(harness)
        harness.settle()
    harness.node.effects.clear()
    case.step(harness)
    harness.new_agent(harness.counted_backends(effects.done))
    return harness


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_agent_killed_after_any_effect_converges_after_restart(case: Case) -> None:
    effects = Effects(None, Killed)
    undisturbed = _prepared(case, effects)
    undisturbed.settle()
    assert (undisturbed.node.effects, effects.count) == (case.node_effects, len(case.node_effects) + case.other_effects)
    for kill_after in range(1, effects.count + 1):
        harness = _prepared(case, Effects(kill_after, Killed))
        with pytest.raises(Killed):
            harness.settle()
        harness.new_agent()
        harness.settle()
        assert harness.outcome() == undisturbed.outcome(), f"killed after effect {kill_after}"


def test_undisturbed_agent_reaches_the_expected_state() -> None:
    """The state that the other tests compare with."""
    harness = AgentHarness()
    _stretch(harness)
    harness.settle()
    node = harness.node
    assert (len(node.ports.patches), len(node.ports.tunnels), set(node.loaded)) == (2, 1, {TUNNEL})
    assert (len(node.associations), node.leftovers) == (4, frozenset())
    assert node.flows
    assert node.meters
    _delete_peer(harness)
    harness.settle()
    assert (node.flows, node.meters) == ({}, {})
    assert (node.ports, node.blocks, node.bridge_exists) == (Ports(), frozenset(), False)
    assert (node.loaded, node.keys, node.negotiated, node.associations) == ({}, {}, {}, frozenset())
