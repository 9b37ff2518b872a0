"""Whole agents: one whose charon can do ML-KEM, one whose charon cannot, and what both say when it is required.

`python -m tests.kernel tests/kernel/newer/test_agents.py`, once the image of charon has been built.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.proposals import DEFAULT, GROUPS, KEY_EXCHANGES, proposals_of
from tests.kernel.newer.charon import NewerNode, image
from tests.kernel.node import Node, wire_of
from tests.kernel.openvswitch import Switch, sh
from tests.kernel.side import Side
from tests.testbed.host.process import wait_until

PREFERRED = proposals_of(None, None, None).ike
REQUIRED = proposals_of(None, None, None, require_hybrid=True).ike


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Two clouds whose agents run, of which `a`, the initiator, has the charon of our image."""
    directory = tmp_path_factory.mktemp("agents")
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    sides = []
    for node in (NewerNode("a", "192.0.2.1", directory, image()), Node("b", "192.0.2.2", directory)):
        sh(f"ip link set lo up\nip addr add {node.address}/24 dev eth0\nip link set eth0 up", node.name)
        switch = Switch(node.name, directory / node.name)
        node.start_charon()
        machine = switch.attach_port(f"vm-{node.name}", f"10.20.0.1{node.address[-1]}", 0)
        sides.append(Side(node.name, node, switch, machine))
    a, b = sides
    for side, other in ((a, b), (b, a)):
        side.start()
        side.introduce(other)
    yield a, b
    for side in sides:
        side.stop()
        side.node.end_charon(signal.SIGKILL)
        side.switch.stop()
    sh("ip netns del vm-a; ip netns del vm-b; ip netns del a; ip netns del b")


def _publish(sides: tuple[Side, Side], ike: tuple[str, ...]) -> None:
    """What both controllers write when both policies offer this."""
    for side in sides:
        (link,) = side.kubectl.list_objects(PeerLink)
        document = link.to_wire()
        for spec in (document["spec"], document["status"]["peer"]["spec"]):
            spec["ipsec"]["ikeProposals"] = list(ike)
        changed = PeerLink.from_wire(document)
        side.controller.apply(changed)
        side.controller.apply_status(changed)
        side.watch.wake()


def _node(side: Side) -> GatewayNode:
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    assert found is not None
    return found


def _connection(side: Side) -> GatewayConnection | None:
    return next(iter(_node(side).status.connections), None)


def _loaded(side: Side) -> dict[str, str]:
    """By connection the digest of what its charon has, proposals included."""
    loaded = side.node.new_ike().view().loaded
    return {name: digest for name, digest in loaded.items() if name.startswith(names.TUNNEL_PREFIX)}


def _has_replaced(side: Side, before: dict[str, str]) -> bool:
    """Whether charon has other connections than before, by name and digest, and all SAs of these and no others."""
    states, loaded = side.node.new_ike().view().states, _loaded(side)
    if loaded.keys() != before.keys() or loaded == before:
        return False
    found = [states[name] for name in loaded if name in states]
    return len(found) == len(loaded) and all(state.children_installed and not state.superseded for state in found)


def _is(side: Side, ike: str, key_exchange: str | None, reason: str) -> bool:
    found = _connection(side)
    return found is not None and (found.ike, found.key_exchange, found.reason) == (ike, key_exchange, reason)


def test_preferred_required_and_preferred_again(mixed: tuple[Side, Side]) -> None:
    a, b = mixed
    with wire_of((a.node, b.node)) as wire:
        for side in mixed:
            wait_until(side.connected, 40, f"connection of {side.name}")
        classical = _loaded(b)
        for ike in (PREFERRED, DEFAULT.ike, PREFERRED):
            before = _loaded(a)
            _publish(mixed, ike)
            wait_until(lambda: _has_replaced(a, before), 40, "SAs by what was published")  # noqa: B023
            for side in mixed:
                wait_until(lambda: _is(side, "Established", "ecp384", "Up"), 40, f"the fallback on {side.name}")  # noqa: B023
            assert _loaded(b) == classical, "it is never given what it cannot do"
        assert set(_node(a).status.key_exchanges) == set(KEY_EXCHANGES)
        assert set(_node(b).status.key_exchanges) == set(GROUPS)

        _publish(mixed, REQUIRED)
        wait_until(lambda: _is(b, "Down", None, "HybridNotSupported"), 40, "the reason")
        wait_until(lambda: not _loaded(b), 40, "no connection")
        wait_until(lambda: (c := _connection(a)) is not None and c.ike == "Connecting", 40, "the end of the fallback")
        assert _loaded(a), "it goes on trying"
        for side in mixed:
            wait_until(lambda: not side.node.associations(), 40, f"no SAs on {side.name}")  # noqa: B023

        _publish(mixed, PREFERRED)
        for side in mixed:
            wait_until(side.connected, 60, f"connection of {side.name}")
        summary = wire.summary()
    assert summary.clean, summary
