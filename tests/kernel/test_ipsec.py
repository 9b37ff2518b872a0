"""IKE and ESP with the agent's adapters: negotiation, restarts, changes and removal."""

import re
import signal
import subprocess
from dataclasses import replace

import pytest

from isthmus.adapters.strongswan import Vici, messages
from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import ipsec
from isthmus.model.errors import Conflict, Unavailable
from isthmus.model.node.ipsec import IkeConnection, IkeState, SecurityAssociation
from tests.contract.charon import CHILDREN
from tests.kernel.losses import dropping_in
from tests.kernel.node import AGREEMENT, KEY, UDP_PORT, Node, Pair
from tests.kernel.openvswitch import sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

OTHER_KEY = KEY[::-1]


def test_both_children_come_up_with_aes_256_gcm(pair: Pair) -> None:
    pair.protect()
    for node in pair.nodes:
        associations, ike = node.views()
        (state,) = ike.states.values()
        assert state.children_installed == CHILDREN
        assert {association.spi for association in associations} == state.spis
        assert len(state.spis) == 4
        # 32 bytes of key and 4 bytes of salt.
        keys = [line.split()[2] for line in sh("ip xfrm state", node.name).splitlines() if "rfc4106(gcm(aes))" in line]
        assert [len(key) for key in keys] == [2 + 2 * 36] * 4
        assert "loaded IKE shared key" in node.log.read_text()
        assert KEY.decode() not in node.log.read_text()


def test_esp_packets_are_counted(pair: Pair) -> None:
    pair.protect()
    far, wanted = pair.tunnels(), pair.connection(pair.a)
    before = pair.a.ike.view()
    assert pair.a.ping(far, count=5).received == 5
    after = pair.a.ike.view()
    assert after.states[wanted.name].packets_in >= before.states[wanted.name].packets_in + 5
    assert after == before, "counters alone are no change"


def test_restarted_agent_finds_everything_loaded(pair: Pair) -> None:
    pair.protect()
    wanted = pair.connection(pair.a)
    again = Vici(str(pair.a.log.with_name("a.vici")))
    assert again.view().loaded == pair.a.ike.view().loaded == {wanted.name: wanted.digest}
    assert ipsec.up(wanted, again.view())


def test_reloading_an_equal_connection_keeps_its_associations(pair: Pair) -> None:
    pair.protect()
    before = [node.views() for node in pair.nodes]
    pair.load()
    for node in pair.nodes:
        node.ike.initiate(pair.connection(node).name)
        node.ike.retire(pair.connection(node).name)
    for node, was in zip(pair.nodes, before, strict=True):
        assert node.views() == was


def test_narrowed_selectors_are_noticed_until_the_peer_is_corrected(pair: Pair) -> None:
    """A foreign peer with one child, which has the tunnel's port on both ends."""
    for node in pair.nodes:
        node.block()
    wanted, of_b = pair.connection(pair.a), pair.connection(pair.b)
    pair.a.ike.load(wanted, KEY)
    pair.b.ike.load(of_b, KEY)
    _load_narrow(pair.b, of_b)
    pair.a.ike.initiate(wanted.name)
    none = IkeState(established=False)
    wait_until(
        lambda: pair.a.ike.view().states.get(wanted.name, none).children_installed == CHILDREN, 30, "both children"
    )
    narrow, ends = f"udp/{UDP_PORT}", (pair.a.address, pair.b.address)
    negotiated = " === ".join(f"{address}/32[{narrow}]" for address in ends)
    state = pair.a.ike.view().states[wanted.name]
    assert {(child.name, child.negotiated) for child in state.narrowed} == {("in", negotiated), ("out", negotiated)}
    assert {child.configured for child in state.narrowed} == {
        f"{ends[0]}/32[udp] === {ends[1]}/32[{narrow}]",
        f"{ends[0]}/32[{narrow}] === {ends[1]}/32[udp]",
    }
    assert not ipsec.up(wanted, pair.a.ike.view())
    pair.b.ike.load(of_b, KEY)
    pair.a.ike.terminate(wanted.name)
    pair.a.ike.initiate(wanted.name)
    wait_until(pair.up, 30, "children with all of their selectors")


def _load_narrow(node: Node, connection: IkeConnection) -> None:
    """Load the connection into the node's charon with one child whose selectors are too narrow."""
    (settings,) = messages.connection(connection).values()
    child = next(iter(settings["children"].values()))
    for end, address in (("local_ts", node.address), ("remote_ts", connection.ends.remote_address)):
        child[end] = [f"{address}/32[udp/{UDP_PORT}]"]
    node.ike._ask(lambda session: session.load_conn({connection.name: settings | {"children": {"narrow": child}}}))


@pytest.mark.parametrize("restarted", ["a", "b"])
def test_new_charon_takes_over_from_a_killed_one(pair: Pair, restarted: str) -> None:
    pair.protect()
    far = pair.tunnels()
    node = next(node for node in pair.nodes if node.name == restarted)
    associations, ike = node.views()
    node.end_charon(signal.SIGKILL)
    with pytest.raises(Unavailable):
        node.ike.view()
    assert pair.a.ping(far).received == 5
    node.start_charon()
    assert node.ike.view().loaded == {}
    assert node.ike.view().instance != ike.instance
    wanted = pair.connection(node)
    node.ike.load(wanted, KEY)
    # SAs that carry traffic are not stale while there are no others.
    assert ipsec.stale_associations(*node.views(), [wanted]) == frozenset()
    assert pair.a.ping(far).received == 5
    node.ike.initiate(wanted.name)
    wait_until(pair.up, 30, "the new charon's associations")
    stale = ipsec.stale_associations(*node.views(), [wanted])
    assert stale == associations
    node.remove_associations(stale)
    assert len(node.associations()) == 4
    assert pair.a.ping(far).received == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_charon_reconnects_to_a_restarted_responder(pair: Pair, number: signal.Signals) -> None:
    """Immediately after a clean stop, otherwise by dead peer detection; no agent is involved."""
    pair.protect()
    far = pair.tunnels()
    old = pair.b.associations()
    pair.b.end_charon(number)
    # Without an agent nobody begins again after a refusal by a charon that does not know the connection yet.
    with dropping_in(pair.b.name, "udp dport 500"):
        pair.b.start_charon()
        pair.b.ike.load(pair.connection(pair.b), KEY)
    wait_until(pair.up, 60, "associations after the restart")
    assert pair.a.ping(far).received == 5
    stale = ipsec.stale_associations(*pair.b.views(), [pair.connection(pair.b)])
    assert stale == (old if number is signal.SIGKILL else frozenset())


def test_differing_keys_do_not_authenticate(pair: Pair) -> None:
    for node in pair.nodes:
        node.block()
        assert node.ike.view().authentication_failed == frozenset()
    pair.a.ike.load(pair.connection(pair.a), KEY)
    pair.b.ike.load(pair.connection(pair.b), OTHER_KEY)
    with pair.wire() as wire:
        far = pair.tunnels()
        assert pair.a.ping(far).received == 0
        wait_until(lambda: "AUTH_FAILED" in pair.a.log.read_text(), 20, "the refusal")
        summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.IKE] >= 4
    assert not pair.up()
    for node in pair.nodes:
        failed = {pair.connection(node).name}
        wait_until(lambda: node.ike.view().authentication_failed == failed, 20, f"the refusal at {node.name}")  # noqa: B023
    pair.b.ike.load(pair.connection(pair.b), KEY)
    pair.a.ike.initiate(pair.connection(pair.a).name)
    wait_until(pair.up, 30, "associations with the right key")
    assert [node.ike.view().authentication_failed for node in pair.nodes] == [frozenset()] * 2
    assert pair.a.ping(far).received == 5


REFUSED = re.compile(r"AUTH_FAILED|NO_PROP")
CHANGES = {
    "key": (AGREEMENT, OTHER_KEY),
    "ESP proposals": (replace(AGREEMENT, esp_proposals=("aes256gcm16-x25519",)), KEY),
    "IKE proposals": (replace(AGREEMENT, ike_proposals=("aes256gcm16-prfsha384-x25519",)), KEY),
}


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_negotiated_before_the_old_association_is_removed(pair: Pair, change: str) -> None:
    agreement, key = CHANGES[change]
    pair.protect()
    far = pair.tunnels()
    pair.a.ping(far)
    old = pair.a.associations()
    words = ["ip", "netns", "exec", "a", "ping", "-nqi", "0.02", "-c", "250", "-W", "1", far]
    ping = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    name = pair.connection(pair.a).name
    # Administrators do not change both sides at the same time: until then the existing SAs stay.
    pair.a.ike.load(pair.connection(pair.a, agreement, "2"), key)
    pair.a.ike.initiate(name)
    wait_until(lambda: REFUSED.search(pair.a.log.read_text()), 30, "the other side to reject it")
    pair.b.ike.load(pair.connection(pair.b, agreement, "2"), key)
    pair.a.ike.initiate(name)
    wait_until(lambda: pair.up(agreement, "2"), 30, f"associations after a change of {change}")
    for node in pair.nodes:
        node.ike.retire(name if node is pair.a else pair.connection(pair.b).name)
    for node in pair.nodes:
        # The other side's request to delete the same SA may still be in progress.
        wait_until(lambda: _has_only_new_associations(node, old), 20, "the old associations' removal")  # noqa: B023
    sent, received = _counts(ping)
    # A responder uses a new SA as soon as it has answered: a packet that overtakes the answer is lost.
    assert sent == 250
    assert received >= 245


def _has_only_new_associations(node: Node, old: frozenset[SecurityAssociation]) -> bool:
    associations, ike = node.views()
    superseded = any(state.superseded for state in ike.states.values())
    return not associations & old and len(associations) == 4 and not superseded


def _counts(ping: subprocess.Popen[str]) -> tuple[int, int]:
    output, _ = ping.communicate(timeout=60)
    words = next(line for line in output.splitlines() if "transmitted" in line).split()
    return int(words[0]), int(words[3])


@pytest.mark.parametrize("peer_is_gone", [False, True])
def test_unloading_leaves_nothing(pair: Pair, peer_is_gone: bool) -> None:
    pair.protect()
    far = pair.tunnels()
    if peer_is_gone:
        pair.b.end_charon(signal.SIGKILL)
    with pair.wire() as wire:
        for node in pair.nodes[: 1 if peer_is_gone else 2]:
            node.ike.unload(pair.connection(node).name)
            node.ike.unload(pair.connection(node).name)
            _, ike = node.views()
            assert (ike.loaded, ike.states) == ({}, {})
        assert pair.a.ping(far).received == 0
        assert set(wire.udp_ports()) <= {500}
    # charon deletes the kernel's states a moment after it has stopped listing the SAs.
    wait_until(lambda: not pair.a.associations(), 20, "removal of the states")
    pair.a.remove_blocks(pair.a.blocks())
    assert sh("ip xfrm policy list nosock", "a") == ""


def test_foreign_policy_is_neither_replaced_nor_removed(pair: Pair) -> None:
    foreign = f"src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport {UDP_PORT} dir in"
    sh(f"ip xfrm policy add {foreign} action block priority 5", "a")
    with pytest.raises(Conflict):
        pair.a.block()
    pair.a.remove_blocks(pair.a.blocks())
    assert "priority 5" in sh("ip xfrm policy list nosock", "a")


def test_agreements_without_a_common_proposal_do_not_come_up(pair: Pair) -> None:
    other: Agreement = replace(AGREEMENT, ike_proposals=("aes256gcm16-prfsha512-ecp521",))
    for node in pair.nodes:
        node.block()
    pair.a.ike.load(pair.connection(pair.a), KEY)
    pair.b.ike.load(pair.connection(pair.b, other), KEY)
    pair.a.ike.initiate(pair.connection(pair.a).name)
    wait_until(lambda: "NO_PROP" in pair.a.log.read_text(), 30, "charon's refusal")
    assert not pair.up()
