"""`isthmus probe` on a real packet socket: loss, the largest size, and a prober of an agent on the same port."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.agent.linkprobe import FRAMES_PER_SECOND, LinkProbe
from isthmus.agent.prober import Prober
from isthmus.cli import probe as command
from isthmus.model import names
from isthmus.model.errors import Unavailable
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC
from isthmus.plugin.core.probing.report import parse
from tests.kernel.openvswitch import inside, sh
from tests.testbed.host.process import wait_until

NEAR, FAR = "near", "far"
LINK, PEER, MTU, PATH_MTU = "cloud-a.net", "cloud-b", 1416, 1300
_MAC = names.probe_mac(LINK, PEER)
_REPLY_SOURCE = bytes.fromhex(PROBE_REPLY_MAC.replace(":", ""))
_HEADER_BYTES = 14


class Reflector:
    """A peer's br-cloud reduced to its reflecting flow, behind a path with an MTU; counts what arrives."""

    def __init__(self) -> None:
        self.path_mtu = MTU
        self.arrived = 0
        self._packets = inside(FAR, self._open)
        threading.Thread(target=self._reflect, daemon=True).start()

    def close(self) -> None:
        self._packets.close()

    @staticmethod
    def _open() -> socket.socket:
        packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        packets.bind(("far", PROBE_ETHERTYPE))
        return packets

    def _reflect(self) -> None:
        while True:
            try:
                frame, address = self._packets.recvfrom(2048)
                if address[2] == socket.PACKET_OUTGOING:
                    continue
                self.arrived += 1
                if len(frame) <= _HEADER_BYTES + self.path_mtu:
                    self._packets.send(frame[6:12] + _REPLY_SOURCE + frame[12:])
            except OSError:
                return


@pytest.fixture
def reflector() -> Iterator[Reflector]:
    sh(f"ip netns add {NEAR}\nip netns add {FAR}")
    sh(f"ip link add {names.PROBE_PORT} netns {NEAR} type veth peer name far netns {FAR}")
    sh(f"ip link set {names.PROBE_PORT} up", NEAR)
    sh("ip link set far up", FAR)
    made = Reflector()
    yield made
    made.close()
    sh(f"ip netns del {NEAR}\nip netns del {FAR}")


@pytest.mark.parametrize("going", ["ip link set {} down", "ip link del {}"])
def test_probe_port_that_goes_away_meanwhile_ends_the_exchange(reflector: Reflector, going: str) -> None:
    reflector.path_mtu = 0

    def go() -> None:
        wait_until(lambda: reflector.arrived, 30, "the frame")  # before it is sent, the prober would bring the port up
        sh(going.format(names.PROBE_PORT), NEAR)

    administrator = threading.Thread(target=go)
    administrator.start()
    began = time.monotonic()
    with pytest.raises(Unavailable, match=names.PROBE_PORT):
        inside(NEAR, lambda: PacketProbe().exchange({LINK: _MAC}, 120))
    assert time.monotonic() - began < 60
    administrator.join()


def test_all_frames_come_back_at_the_pace(reflector: Reflector) -> None:
    began = time.monotonic()
    report = parse(command.printed(inside(NEAR, lambda: command.verify(PacketProbe(), LINK, PEER, MTU, 10))))
    assert [(s.payload_bytes, s.sent, s.received) for s in report.series] == [(n, 10, 10) for n in (46, 731, MTU)]
    assert report.largest_bytes == MTU
    assert all(rtt > 0 for series in report.series for rtt in series.rtt_seconds)
    assert reflector.arrived == 30
    assert time.monotonic() - began > 3 * 9 / FRAMES_PER_SECOND


def test_the_largest_size_is_that_of_the_path(reflector: Reflector) -> None:
    reflector.path_mtu = PATH_MTU
    report = parse(command.printed(inside(NEAR, lambda: command.verify(PacketProbe(), LINK, PEER, MTU, 5))))
    assert [series.received for series in report.series] == [5, 5, 0]
    assert report.largest_bytes == PATH_MTU


def test_frames_longer_than_the_probe_port_are_not_sent(reflector: Reflector) -> None:
    series = inside(NEAR, lambda: LinkProbe(PacketProbe(), _MAC).series(1501, 3))
    assert (series.sent, series.rtt_seconds, reflector.arrived) == (0, (), 0)


def test_an_agent_on_the_same_port_is_not_disturbed(reflector: Reflector) -> None:
    """Each counts the replies to its own frames, although both receive all of them."""
    prober = Prober(PacketProbe(), 0.2, lambda: None)
    prober.follow({(LINK, PEER): _MAC})
    changes: list[bool | None] = []
    stop = threading.Event()

    def probing() -> None:
        while not stop.is_set():
            prober.probe_once()
            changes.append(prober.up().get((LINK, PEER)))

    agent = threading.Thread(target=lambda: inside(NEAR, probing))
    agent.start()
    try:
        series = inside(NEAR, lambda: LinkProbe(PacketProbe(), _MAC).series(MTU, 40))
        reflector.path_mtu = 0
        silent = inside(NEAR, lambda: LinkProbe(PacketProbe(), _MAC).series(MTU, 5))
    finally:
        stop.set()
        agent.join()
    assert (series.sent, len(series.rtt_seconds)) == (40, 40)
    assert (silent.sent, silent.rtt_seconds) == (5, ())
    assert True in changes
    assert len(changes) > 5
