"""The nftables table alone, without block policies, drops unprotected traffic and passes protected traffic."""

import signal
import socket
from functools import partial

import pytest

from tests.kernel.node import UDP_PORT, Node, Pair
from tests.kernel.openvswitch import inside, sh
from tests.testbed.wan.wire import Traffic

_FLUSH = "ip xfrm policy flush; ip xfrm state flush"


@pytest.fixture
def fenced(pair: Pair) -> Pair:
    """SAs are up; both nodes have the table and no block policies."""
    for node in pair.nodes:
        node.raise_firewall()
    pair.protect()
    for node in pair.nodes:
        node.remove_blocks(node.blocks())
        assert not node.blocks()
    return pair


def test_what_is_protected_passes_fragments_included(fenced: Pair) -> None:
    far = fenced.tunnels()
    with fenced.wire() as wire:
        for size in (84, 1500, 9000):
            assert fenced.a.ping(far, size=size).received == 5
            assert fenced.b.ping(far[:-1] + "1", size=size).received == 5
        summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.ESP_FRAGMENT] > 0
    assert not any(_unprotected(node) for node in fenced.nodes)


def test_nothing_leaves_when_policies_and_states_are_flushed(fenced: Pair) -> None:
    far = fenced.tunnels()
    for node in fenced.nodes:
        sh(_FLUSH, node.name)
    with fenced.wire() as wire:
        assert fenced.a.ping(far).received == 0
        assert fenced.b.ping(far[:-1] + "1").received == 0
        summary = wire.summary()
    summary.require_protected()
    assert [node.dropped()["unprotected_out"] >= 5 for node in fenced.nodes] == [True, True]


def test_without_the_table_it_leaks_and_is_seen(fenced: Pair) -> None:
    """The checks of the tests above can fail: they depend on the table."""
    far = fenced.tunnels()
    for node in fenced.nodes:
        sh(f"{_FLUSH}; nft flush ruleset", node.name)
    with fenced.wire() as wire:
        assert fenced.a.ping(far).received == 5
        assert wire.summary().counts[Traffic.OTHER] >= 10


@pytest.mark.parametrize("stopped", ["a", "b"])
def test_nothing_leaks_when_charon_stops_and_takes_its_policies_along(fenced: Pair, stopped: str) -> None:
    far = fenced.tunnels()
    next(node for node in fenced.nodes if node.name == stopped).end_charon(signal.SIGTERM)
    with fenced.wire() as wire:
        assert fenced.a.ping(far).received == 0
        assert fenced.b.ping(far[:-1] + "1").received == 0
        # The kernel of the stopped side answers IKE with ICMP: unexpected, but not a packet of the tunnel.
        assert set(wire.udp_ports()) <= {500}


@pytest.mark.parametrize("raised", [True, False])
def test_packets_in_the_clear_are_not_let_in(pair: Pair, raised: bool) -> None:
    """Neither packets to our port nor packets from it, with IPv4 and IPv6."""
    for node, address in ((pair.a, "fd00::1"), (pair.b, "fd00::2")):
        sh(f"ip addr add {address}/64 dev eth0 nodad", node.name)
    if raised:
        pair.b.raise_firewall()
    for source, destination in (("192.0.2.1", "192.0.2.2"), ("fd00::1", "fd00::2")):
        with inside("b", partial(_listener, destination, 0.5 if raised else 20)) as listener:
            inside("a", partial(_send, source, destination))
            if raised:
                with pytest.raises(TimeoutError):
                    listener.recv(100)
            else:
                assert listener.recv(100) == b"in the clear"
    assert pair.b.dropped() == ({"unprotected_in": 2} if raised else {})


@pytest.mark.parametrize("raised", [True, False])
def test_ipv6_is_fenced_as_well_and_passes_where_it_is_protected(pair: Pair, raised: bool) -> None:
    for node, address in ((pair.a, "fd00::1"), (pair.b, "fd00::2")):
        sh(f"ip addr add {address}/64 dev eth0 nodad", node.name)
        if raised:
            node.raise_firewall()
    _tunnel_v6(pair.a, "fd00::1", "fd00::2", "10.97.0.1")
    _tunnel_v6(pair.b, "fd00::2", "fd00::1", "10.97.0.2")
    assert pair.a.ping("10.97.0.2").received == (0 if raised else 5)
    assert bool(_unprotected(pair.a)) == raised
    for node in pair.nodes:
        _protect_v6(node)
    # What waits for a neighbour that did not answer within three seconds is discarded: have it looked for again.
    sh("ip neigh flush dev v6", pair.a.name)
    before = [_unprotected(node) for node in pair.nodes]
    assert pair.a.ping("10.97.0.2").received == 5
    assert [_unprotected(node) for node in pair.nodes] == before


@pytest.mark.parametrize("raised", [True, False])
@pytest.mark.parametrize("rejected", [False, True], ids=["no tunnel port", "another table rejects"])
def test_no_message_quotes_what_came_protected(fenced: Pair, raised: bool, rejected: bool) -> None:
    """Port unreachable from the kernel, or prohibited from a reject rule: both quote the packet."""
    fenced.a.tunnel(fenced.b.address, UDP_PORT, "10.99.0.1")
    if rejected:
        fenced.b.tunnel(fenced.a.address, UDP_PORT, "10.99.0.2")
        sh("nft add table ip theirs; nft add chain ip theirs input '{ type filter hook input priority 0; }'", "b")
        sh(f"nft add rule ip theirs input udp dport {UDP_PORT} reject with icmp admin-prohibited", "b")
    if not raised:
        sh("nft delete table inet isthmus", "b")
    with fenced.wire() as wire:
        assert fenced.a.ping("10.99.0.2", count=3).received == 0
        summary = wire.summary()
    assert summary.counts[Traffic.ESP] > 0
    assert summary.clean == raised, summary.table()
    if raised:
        assert fenced.b.dropped()["unreachable_out"] > 0


@pytest.mark.parametrize(("kind", "udp_port"), [("vxlan", 4789), ("geneve", 6081)])
def test_neutrons_own_tunnels_pass(fenced: Pair, kind: str, udp_port: int) -> None:
    theirs = fenced.tunnels(udp_port, kind, "10.98.0")
    assert fenced.a.ping(theirs).received == 5
    assert not any(_unprotected(node) for node in fenced.nodes)


def _unprotected(node: Node) -> dict[str, int]:
    """Without the ICMP errors that are sent while only one end of a tunnel exists."""
    return {counter: packets for counter, packets in node.dropped().items() if counter.startswith("unprotected")}


def _listener(address: str, timeout_seconds: float) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind((address, UDP_PORT))
    listener.settimeout(timeout_seconds)
    return listener


def _send(source: str, destination: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in source else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind((source, 0))
        sender.sendto(b"in the clear", (destination, UDP_PORT))


def _tunnel_v6(node: Node, local: str, remote: str, inner: str) -> None:
    sh(
        f"ip link add v6 type vxlan id 9 local {local} remote {remote} dstport {UDP_PORT} udp6zerocsumrx\n"
        f"ip link set v6 mtu 1300 up\nip addr add {inner}/24 dev v6",
        node.name,
    )


def _protect_v6(node: Node) -> None:
    """Static SAs: charon has IPv4 connections only."""
    local, remote = ("fd00::1", "fd00::2") if node.name == "a" else ("fd00::2", "fd00::1")
    algorithm = f"aead 'rfc4106(gcm(aes))' 0x{'11' * 36} 128"
    for source, destination, direction in ((local, remote, "out"), (remote, local, "in")):
        ends = f"src {source} dst {destination}"
        sh(
            f"ip xfrm state add {ends} proto esp spi 0x1000 reqid 9 mode transport {algorithm}\n"
            f"ip xfrm policy add {ends} proto udp dport {UDP_PORT} dir {direction} "
            "tmpl proto esp reqid 9 mode transport",
            node.name,
        )
