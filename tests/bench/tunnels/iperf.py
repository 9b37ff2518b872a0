"""TCP by iperf3 and UDP by `datagrams` between two namespaces; what arrives must have been carried by ESP."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from tests.bench.tunnels.datagrams import send
from tests.bench.tunnels.esp import carried_bytes
from tests.bench.tunnels.processor import metered
from tests.bench.tunnels.rounds import PathName
from tests.kernel.openvswitch import inside, sh
from tests.testbed.host.process import wait_until

TCP_PORT, UDP_PORT = 5201, 5202
_STARTING_SECONDS: Final = 10
_MARGIN_SECONDS: Final = 60
_UDP_HEADERS: Final = 20 + 8
_DATAGRAMS: Final = (sys.executable, "-m", "tests.bench.tunnels.datagrams")


@dataclass(frozen=True)
class Arrived:
    """What arrived, without headers; and the number under which the processor time for it is counted."""

    bits: float
    seconds: float
    number: int


@dataclass(frozen=True)
class Path:
    """From a client to the address of a server; `gateway` is where ESP must carry what is sent."""

    name: PathName
    cipher: str
    client: str
    server: str
    address: str
    gateway: str

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run servers at the far end while the block runs."""
        iperf3 = ["iperf3", "--server", "--bind", self.address, "--port", str(TCP_PORT)]
        datagrams = [*_DATAGRAMS, "receive", self.address, str(UDP_PORT)]
        with self._running(self.server, iperf3), self._running(self.server, datagrams):
            wait_until(self._listens, _STARTING_SECONDS, f"servers at {self.address} to listen")
            yield

    @contextmanager
    def _running(self, netns: str, argv: list[str]) -> Iterator[None]:
        command = ["ip", "netns", "exec", netns, *argv]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                yield
            finally:
                process.kill()

    def _listens(self) -> bool:
        listening = sh("ss -Hltun", self.server)
        return all(f"{self.address}:{port} " in listening for port in (TCP_PORT, UDP_PORT))

    def tcp(self, seconds: int, streams: int = 1, segment_bytes: int | None = None) -> Arrived:
        """Segments have at most so many bytes, or what the path lets through; raises RuntimeError if iperf3 fails."""
        argv = ["ip", "netns", "exec", self.client, "iperf3", "--client", self.address, "--port", str(TCP_PORT)]
        argv += ["--time", str(seconds), "--json", "--parallel", str(streams)]
        argv += ["--set-mss", str(segment_bytes)] if segment_bytes is not None else []
        with self._carrying() as payloads, metered() as number:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + _MARGIN_SECONDS)
            if done.returncode:
                raise RuntimeError(f"iperf3 to {self.address}: {done.stdout}{done.stderr}")
            found = json.loads(done.stdout)["end"]["sum_received"]
            payloads.append(found["bytes"])
        return Arrived(found["bytes"] * 8, found["seconds"], number)

    def udp(self, seconds: int, packet_bytes: int) -> Arrived:
        """In packets of `packet_bytes` with their headers of UDP and IP."""
        payload_bytes = packet_bytes - _UDP_HEADERS
        with self._carrying() as payloads, metered() as number:
            sending = partial(send, self.address, UDP_PORT, seconds, payload_bytes)
            datagrams, lasted_seconds = inside(self.client, sending)
            payloads.append(datagrams * payload_bytes)
        return Arrived(datagrams * payload_bytes * 8, lasted_seconds, number)

    @contextmanager
    def _carrying(self) -> Iterator[list[int]]:
        """Takes the number of bytes that arrived; raises RuntimeError if it is more than what ESP has carried."""
        before, arrived = carried_bytes(self.gateway), list[int]()
        yield arrived
        if (carried := carried_bytes(self.gateway) - before) < sum(arrived):
            raise RuntimeError(f"{sum(arrived)} bytes came to {self.address}, but ESP carried {carried}")
