"""Nothing unprotected is sent or accepted, in whatever state charon is."""

import signal
import socket
from functools import partial

import pytest

from isthmus.model.node.traffic import IcmpType
from tests.kernel.node import UDP_PORT, Pair
from tests.kernel.openvswitch import inside, sh
from tests.testbed.wan.wire import Traffic


def test_only_esp_is_on_the_wire(pair: Pair) -> None:
    pair.protect()
    far = pair.tunnels()
    with pair.wire() as wire:
        assert pair.a.ping(far).received == 5
        summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.ESP] >= 10


def test_nothing_is_sent_before_there_is_a_connection(pair: Pair) -> None:
    for node in pair.nodes:
        node.block()
    far = pair.tunnels()
    with pair.wire() as wire:
        assert pair.a.ping(far).received == 0
        wire.summary().require_protected()


@pytest.mark.parametrize("stopped", ["a", "b"])
def test_nothing_leaks_when_charon_stops_and_removes_its_policies(pair: Pair, stopped: str) -> None:
    pair.protect()
    far = pair.tunnels()
    next(node for node in pair.nodes if node.name == stopped).end_charon(signal.SIGTERM)
    with pair.wire() as wire:
        assert pair.a.ping(far).received == 0
        assert pair.b.ping(far[:-1] + "1").received == 0
        # The kernel of the stopped side answers IKE with ICMP: unexpected, but not a packet of the tunnel.
        assert set(wire.udp_ports()) <= {500}


def test_traffic_leaks_without_block_policies(pair: Pair) -> None:
    """The checks of the tests above can fail: they depend on the block policies."""
    pair.protect()
    far = pair.tunnels()
    for node in pair.nodes:
        node.remove_blocks(node.blocks())
        node.end_charon(signal.SIGTERM)
    with pair.wire() as wire:
        assert pair.a.ping(far).received == 5
        summary = wire.summary()
    assert not summary.clean
    assert summary.counts[Traffic.OTHER] >= 10


@pytest.mark.parametrize("blocked", [True, False])
def test_no_icmp_unreachable_in_clear_for_a_missing_tunnel_port(pair: Pair, blocked: bool) -> None:
    """The kernel's ICMP error would quote the packet, if the other side connects earlier or disconnects later."""
    pair.protect()
    if not blocked:
        pair.b.remove_blocks(
            frozenset(block for block in pair.b.blocks() if isinstance(block.selector.traffic, IcmpType))
        )
    pair.a.tunnel(pair.b.address, UDP_PORT, "10.99.0.1")
    with pair.wire() as wire:
        assert pair.a.ping("10.99.0.2", count=3).received == 0
        summary = wire.summary()
    assert summary.counts[Traffic.ESP] > 0
    assert summary.clean == blocked, summary


def test_traffic_continues_while_charon_is_killed(pair: Pair) -> None:
    pair.protect()
    far = pair.tunnels()
    for node in pair.nodes:
        node.end_charon(signal.SIGKILL)
    with pair.wire() as wire:
        assert pair.a.ping(far, count=20).received == 20
        wire.summary().require_protected()


@pytest.mark.parametrize("protected", [False, True])
def test_unprotected_packets_are_dropped(pair: Pair, protected: bool) -> None:
    """Neither from other hosts nor with the peer's address as source."""
    sh("ip addr add 192.0.2.99/24 dev eth0", "a")

    def listen() -> socket.socket:
        listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        listener.bind(("192.0.2.2", UDP_PORT))
        listener.settimeout(0.5 if protected else 20)
        return listener

    def send(source: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            sender.sendto(b"in the clear", ("192.0.2.2", UDP_PORT))

    if protected:
        pair.protect()
        # Without the sender's own policies.
        sh("ip xfrm policy flush; ip xfrm state flush", "a")
    with inside("b", listen) as listener:
        for source in ("192.0.2.1", "192.0.2.99"):
            inside("a", partial(send, source))
            if protected:
                with pytest.raises(TimeoutError):
                    listener.recv(100)
            else:
                assert listener.recv(100) == b"in the clear"


@pytest.mark.parametrize(("kind", "udp_port"), [("vxlan", 4789), ("geneve", 6081)])
def test_neutrons_own_tunnels_pass(pair: Pair, kind: str, udp_port: int) -> None:
    pair.protect()
    ours, theirs = pair.tunnels(), pair.tunnels(udp_port, kind, "10.98.0")
    with pair.wire() as wire:
        assert pair.a.ping(theirs).received == 5
        assert wire.udp_ports()[udp_port] >= 10
        assert pair.a.ping(ours).received == 5
        assert UDP_PORT not in wire.udp_ports()
