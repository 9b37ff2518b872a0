"""The agent dies after every single effect of a network's life on a node: its next life ends where an unhurt one does.

The effects are enumerated through the one seam that performs them, from an empty node to an empty node.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from isthmus.model import names
from isthmus.model.node.switch import Ports
from tests.fakes.agentworld import World
from tests.fakes.killing import Effects, Killed
from tests.fakes.nodeobjects import BLUE, PEER, RED, attachment, link, peer

TUNNEL = names.tunnel_port(PEER, "gw-b1")
Step = Callable[[World], None]


def _agree(world: World) -> None:
    """Nothing more: a peer is there from the beginning."""


def _stretch(world: World) -> None:
    world.people.apply(attachment(RED))
    world.people.apply(attachment(BLUE, (link(0x100001),)))


def _take_one_back(world: World) -> None:
    world.delete(attachment(RED))


def _part(world: World) -> None:
    for network in (RED, BLUE):
        world.delete(attachment(network))
    world.delete(peer())


class Life(NamedTuple):
    """What was settled before, what the agent that dies finds to do, and by which effects it does so."""

    before: tuple[Step, ...]
    step: Step
    on_the_node: list[str]
    others: int
    """Asking for SAs, and what the cluster is told."""


BEGINNING = ["add_blocks", f"load {TUNNEL}", "ensure_bridge", "apply", "replace"]
END = ["replace", "apply", "remove_bridge", f"unload {TUNNEL}", "remove_blocks"]
LIVES = {
    "first peer": Life((), _agree, BEGINNING, 3),
    "everything at once": Life((), _stretch, BEGINNING, 7),
    "networks of a peer": Life((_agree,), _stretch, ["apply", "replace"], 4),
    "one network less": Life((_stretch,), _take_one_back, ["replace", "apply"], 0),
    "end of everything": Life((_stretch,), _part, END, 1),
}


def _begun(life: Life, effects: Effects) -> World:
    """What was before is settled; what is new waits for the agent, whose effects are counted."""
    world = World()
    for step in life.before:
        step(world)
        world.settle()
    world.node.effects.clear()
    life.step(world)
    world.new_agent(world.mortal_backends(effects.done))
    return world


@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
def test_agent_killed_after_any_effect_converges_after_restart(life: Life) -> None:
    effects = Effects(None, Killed)
    unhurt = _begun(life, effects)
    unhurt.settle()
    assert (unhurt.node.effects, effects.count) == (life.on_the_node, len(life.on_the_node) + life.others)
    for fatal in range(1, effects.count + 1):
        world = _begun(life, Effects(fatal, Killed))
        with pytest.raises(Killed):
            world.settle()
        world.new_agent()
        world.settle()
        assert world.outcome() == unhurt.outcome(), f"killed after effect {fatal}"


def test_undisturbed_agent_reaches_the_expected_state() -> None:
    """What the others are compared with."""
    world = World()
    _stretch(world)
    world.settle()
    node = world.node
    assert (len(node.ports.patches), len(node.ports.tunnels), set(node.loaded)) == (2, 1, {TUNNEL})
    assert (len(node.associations), node.leftovers) == (4, frozenset())
    assert node.flows is not None
    assert node.flows.flows
    _part(world)
    world.settle()
    assert node.flows is None
    assert (node.ports, node.blocks, node.bridge_exists) == (Ports(), frozenset(), False)
    assert (node.loaded, node.keys, node.negotiated, node.associations) == ({}, {}, {}, frozenset())
