"""Dataplane probes of thousands of healthy links, over a veth pair with an ideal reflector: none may look down."""

import os
import signal
import socket
import subprocess
import sys
import time

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.agent.prober import Prober
from isthmus.model import names
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REPLY_MAC
from tests.bench.result import Result, at_most, reported
from tests.testbed.host import netns

LINKS = 4_000
ROUNDS = 10
INTERVAL_SECONDS = 2.0
_SO_RCVBUFFORCE, _BUFFER_BYTES = 33, 64 << 20
_REPLY_SOURCE = bytes.fromhex(PROBE_REPLY_MAC.replace(":", ""))


def measure() -> list[Result]:
    """Links that the agent's prober calls down at any time, and the mean duration of a round."""
    with netns.anonymous():
        netns.batch(f"link add {names.PROBE_PORT} type veth peer name far\nlink set far up\nlink set lo up")
        netns.batch(f"link set {names.PROBE_PORT} up")
        reflector = subprocess.Popen([sys.executable, "-m", __name__], stdout=subprocess.PIPE)
        try:
            assert reflector.stdout is not None
            reflector.stdout.readline()
            return _rounds()
        finally:
            reflector.send_signal(signal.SIGKILL)
            reflector.wait()


def _rounds() -> list[Result]:
    prober = Prober(PacketProbe(), INTERVAL_SECONDS, lambda: None)
    links = [(f"cloud-a.{number}", "cloud-b") for number in range(LINKS)]
    prober.follow({link: names.probe_mac(*link) for link in links})
    down: set[tuple[str, str]] = set()
    began = time.monotonic()
    for _ in range(ROUNDS):
        prober.probe_once()
        up = prober.up()
        down |= {link for link in links if not up.get(link)}
    seconds = (time.monotonic() - began) / ROUNDS
    return [
        at_most(f"links wrongly down of {LINKS} healthy, {ROUNDS} rounds", len(down), "links", 0),
        reported(f"probing {LINKS} links once", seconds, "s"),
    ]


def _reflect() -> None:
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    packets.bind(("far", PROBE_ETHERTYPE))
    os.write(sys.stdout.fileno(), b"ready\n")
    while True:
        frame, address = packets.recvfrom(2048)
        if address[2] != socket.PACKET_OUTGOING:
            packets.send(frame[6:12] + _REPLY_SOURCE + frame[12:])


if __name__ == "__main__":
    _reflect()
