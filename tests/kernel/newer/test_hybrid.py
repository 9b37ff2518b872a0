"""Hybrid key exchange between the charon of our image and this machine's, in every combination.

`python -m tests.kernel tests/kernel/newer/test_hybrid.py`, once the image of charon has been built.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from vici import Session

from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import hybrid, ipsec
from isthmus.model.actions import Problem
from isthmus.model.errors import Invalid
from isthmus.model.node.ipsec import IkeConnection
from isthmus.model.proposals import DEFAULT, GROUPS, KEY_EXCHANGES, proposals_of
from tests.images.archive import Archive
from tests.kernel.losses import FRAGMENTS, dropping_in
from tests.kernel.newer.charon import NewerNode, image
from tests.kernel.node import AGREEMENT, KEY, Node, Pair
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until

CLASSICAL, HYBRID = "ecp384", "ecp384-ke1_mlkem768"
PREFERRED = replace(AGREEMENT, ike_proposals=proposals_of(None, None, None).ike)
REQUIRED = replace(AGREEMENT, ike_proposals=proposals_of(None, None, None, require_hybrid=True).ike)
FALLBACK = replace(AGREEMENT, ike_proposals=DEFAULT.ike)


@pytest.fixture(scope="module")
def archive() -> Archive:
    return image()


@pytest.fixture
def pair(request: pytest.FixtureRequest, tmp_path: Path, archive: Archive) -> Iterator[Pair]:
    """Two nodes, each with the charon that the parameter names: `newer` or `this` machine's."""
    made = [
        NewerNode(name, address, tmp_path, archive) if kind == "newer" else Node(name, address, tmp_path)
        for kind, name, address in zip(request.param, "ab", ("192.0.2.1", "192.0.2.2"), strict=True)
    ]
    pair = Pair(*made)
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    try:
        for node in pair.nodes:
            sh(f"ip link set lo up\nip addr add {node.address}/24 dev eth0\nip link set eth0 up", node.name)
            node.start_charon()
            node.block()
        pair.tunnels()
        yield pair
    finally:
        for node in pair.nodes:
            node.end_charon(signal.SIGKILL)
            sh(f"ip netns del {node.name}")


ALL = pytest.mark.parametrize(
    "pair", [("newer", "newer"), ("newer", "this"), ("this", "newer")], indirect=True, ids="-".join
)
MIXED = pytest.mark.parametrize("pair", [("newer", "this"), ("this", "newer")], indirect=True, ids="-".join)
NEWER = pytest.mark.parametrize("pair", [("newer", "newer")], indirect=True, ids="-".join)


def planned(pair: Pair, node: Node, agreement: Agreement) -> IkeConnection | Problem:
    """The connection that an agent gives this node's charon."""
    found = hybrid.loadable(agreement, node.ike.view().key_exchanges)
    return found if isinstance(found, Problem) else pair.connection(node, found)


def load(pair: Pair, node: Node, agreement: Agreement) -> IkeConnection:
    connection = planned(pair, node, agreement)
    assert isinstance(connection, IkeConnection), connection
    node.ike.load(connection, KEY)
    return connection


def key_exchanges(pair: Pair) -> set[str]:
    return {state.key_exchange for node in pair.nodes for state in node.ike.view().states.values()}


def connect(pair: Pair, agreement: Agreement) -> None:
    connections = [(node, load(pair, node, agreement)) for node in reversed(pair.nodes)]
    pair.a.ike.initiate(connections[1][1].name)
    wait_until(lambda: all(ipsec.up(c, node.ike.view()) for node, c in connections), 30, "IKE and ESP on both nodes")


@ALL
def test_hybrid_where_both_can_and_the_fallback_elsewhere(pair: Pair) -> None:
    for node in pair.nodes:
        found = node.ike.view().key_exchanges or frozenset()
        assert found == frozenset(KEY_EXCHANGES if isinstance(node, NewerNode) else GROUPS)
    with pair.wire() as wire:
        connect(pair, PREFERRED)
        assert key_exchanges(pair) == {HYBRID if all(isinstance(node, NewerNode) for node in pair.nodes) else CLASSICAL}
        for in_force in (state.in_force for node in pair.nodes for state in node.ike.view().states.values()):
            assert (in_force.ike_cipher, in_force.esp_cipher) == ("aes256gcm16-prfsha384", "aes256gcm16")
            assert (in_force.esp_mode, in_force.nat) == ("Transport", "None")
            assert None not in (in_force.ike_since, in_force.esp_since)
        assert pair.a.ping("10.99.0.2").received == 5
        summary = wire.summary()
    assert summary.clean, summary


@NEWER
def test_hybrid_stays_when_the_ike_sa_is_rekeyed_and_follows_a_policy_that_is_changed(pair: Pair) -> None:
    connect(pair, FALLBACK)
    assert key_exchanges(pair) == {CLASSICAL}
    connect(pair, REQUIRED)
    name = pair.connection(pair.a).name
    for node in pair.nodes:
        node.ike.retire(name)
    wait_until(lambda: key_exchanges(pair) == {HYBRID}, 30, "hybrid key exchange alone")
    before = _numbers(pair.a, name)
    session = _session(pair.a)
    session.rekey({"ike": name})
    wait_until(lambda: not before & _numbers(pair.a, name), 30, "another IKE SA")
    assert key_exchanges(pair) == {HYBRID}
    assert pair.a.ping("10.99.0.2").received == 5


@NEWER
def test_large_messages_cross_a_path_without_fragments_of_ip(pair: Pair) -> None:
    """The public key of ML-KEM-1024 alone has 1568 bytes: IKE itself takes the message apart (RFC 7383)."""
    large = replace(AGREEMENT, ike_proposals=("aes256gcm16-prfsha384-ecp384-ke1_mlkem1024",))
    with ExitStack() as obstacles:
        for node in pair.nodes:
            for match in (FRAGMENTS, "meta length gt 1280"):
                obstacles.enter_context(dropping_in(node.name, match))
        wire = obstacles.enter_context(pair.wire())
        connect(pair, large)
        assert key_exchanges(pair) == {"ecp384-ke1_mlkem1024"}
        assert pair.a.ping("10.99.0.2").received == 5
        wire.summary().require_protected()
    for node in pair.nodes:
        assert "splitting IKE message" in node.log.read_text()


@MIXED
def test_required_of_a_charon_that_cannot(pair: Pair) -> None:
    """Nothing is loaded there, and the peer refuses whatever else it may try."""
    (old,) = (node for node in pair.nodes if not isinstance(node, NewerNode))
    (new,) = (node for node in pair.nodes if isinstance(node, NewerNode))
    problem = planned(pair, old, REQUIRED)
    assert isinstance(problem, Problem)
    assert problem.reason == "HybridNotSupported"
    with pytest.raises(Invalid, match="cannot do the additional key exchange"):
        old.ike.load(pair.connection(old, REQUIRED), KEY)
    assert old.ike.view().loaded == {}
    load(pair, new, REQUIRED)
    load(pair, old, FALLBACK)  # as by another implementation
    with pair.wire() as wire:
        for node in (new, old):
            node.ike.initiate(pair.connection(node).name)
        ends_at = time.monotonic() + 4
        while time.monotonic() < ends_at:
            assert not any(state.established for node in pair.nodes for state in node.ike.view().states.values())
            pair.a.ping("10.99.0.2", 1)
        summary = wire.summary()
    assert summary.clean, summary
    log = new.log.read_text() + old.log.read_text()
    assert "NO_PROPOSAL_CHOSEN" in log or "NO_PROP" in log


@MIXED
def test_why_a_proposal_that_charon_does_not_know_is_never_loaded(pair: Pair) -> None:
    """It would not leave the fallback: all that was loaded is discarded."""
    (old,) = (node for node in pair.nodes if not isinstance(node, NewerNode))
    with pytest.raises(Exception, match="config discarded"):
        _session(old).load_conn({"x": {"version": "2", "proposals": list(PREFERRED.ike_proposals)}})


def _session(node: Node) -> Session:
    return Session(node.connect())


def _numbers(node: Node, name: str) -> set[int]:
    return {association.number for association in node.ike.view().states[name].associations}
