"""Dataplane probes of thousands of links at the same time: every reflected probe is counted."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.model import names
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC
from tests.kernel.openvswitch import inside, sh

NEAR, FAR = "near", "far"
LINKS = 4_000
_REPLY_SOURCE = bytes.fromhex(PROBE_REPLY_MAC.replace(":", ""))
_SO_RCVBUFFORCE, _BUFFER_BYTES = 33, 8 << 20
_DEAF = 3  # the reflector ignores every third link


@pytest.fixture
def reflector() -> Iterator[None]:
    """A peer's br-cloud reduced to its reflecting flow, at the other end of a veth pair."""
    sh(f"ip netns add {NEAR}\nip netns add {FAR}")
    sh(f"ip link add {names.PROBE_PORT} netns {NEAR} type veth peer name far netns {FAR}")
    sh(f"ip link set {names.PROBE_PORT} up", NEAR)
    sh("ip link set far up", FAR)
    packets = inside(FAR, _open)
    threading.Thread(target=_reflect, args=(packets,), daemon=True).start()
    yield
    packets.close()
    sh(f"ip netns del {NEAR}\nip netns del {FAR}")


@pytest.mark.usefixtures("reflector")
def test_every_reflected_probe_is_counted() -> None:
    macs = {f"cloud-a.{i}": names.probe_mac(f"cloud-a.{i}", "cloud-b") for i in range(LINKS)}
    probe = PacketProbe()
    results = inside(NEAR, lambda: probe.exchange(macs, 5.0, 4.0))
    assert {link for link, result in results.items() if result.sent} == set(macs)
    answered = {link for link, result in results.items() if result.received}
    assert answered == {link for link, mac in macs.items() if not _is_deaf_to(bytes.fromhex(mac.replace(":", "")))}


def _open() -> socket.socket:
    """Holds all probes, should the reflecting thread have to wait."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    packets.bind(("far", PROBE_ETHERTYPE))
    return packets


def _reflect(packets: socket.socket) -> None:
    while True:
        try:
            frame, address = packets.recvfrom(2048)
            if address[2] != socket.PACKET_OUTGOING and not _is_deaf_to(frame[6:12]):
                packets.send(frame[6:12] + _REPLY_SOURCE + frame[12:])
        except OSError:
            return


def _is_deaf_to(mac: bytes) -> bool:
    return mac[-1] % _DEAF == 0
