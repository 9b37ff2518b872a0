"""TCP throughput of a stretched network relative to ESP between the hosts: same kernel, same cipher, alternating."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from tests.bench.esp import carried_bytes, host_address, protected, tunnel_address
from tests.bench.result import Result, at_least, reported
from tests.testbed.assets import Assets
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.node.node import Node, Place
from tests.testbed.workload.tenant import Stretch

ROUNDS = 7
SECONDS = 3
SEGMENT = 1364
HOST_PORT, MACHINE_PORT = 5301, 5302
TARGET = 0.95
TARGET_IN_USER_MODE_LINUX = 0.90  # a single processor, which also encapsulates


@dataclass(frozen=True)
class Path:
    """A path for TCP, and the gateway node and addresses between which ESP must carry it."""

    client: Place
    server: Place
    address: str
    port: int
    gateway: Node
    ends: tuple[str, str]
    options: tuple[str, ...] = ()

    @contextmanager
    def served(self) -> Iterator[None]:
        """Run an iperf3 server at the far end while the block runs."""
        name, listens = f"iperf3-{self.port}", f":{self.port}"
        self.server.spawn(["iperf3", "--server", "--bind", self.address, "--port", str(self.port)], name)
        try:
            wait_until(lambda: listens in self.server.run(["ss", "-Hltn"]).stdout, 20, f"{name} to listen")
            yield
        finally:
            self.server.kill(name)

    def bits_per_second(self) -> float:
        """One run; raises RuntimeError if ESP between these addresses carried less than what arrived."""
        before = carried_bytes(self.gateway, *self.ends)
        argv = ["iperf3", "--client", self.address, "--port", str(self.port), "-M", str(SEGMENT)]
        argv += ["--time", str(SECONDS), "--json", *self.options]
        arrived = json.loads(self.client.run(argv, timeout_seconds=SECONDS + 60).stdout)["end"]["sum_received"]
        carried = carried_bytes(self.gateway, *self.ends) - before
        if carried < arrived["bytes"]:
            path = f"to {self.address}, but ESP from {self.ends[0]} to {self.ends[1]} carried"
            raise RuntimeError(f"{arrived['bytes']} bytes came {path} {carried}")
        return float(arrived["bits_per_second"])


def measure(federation: Federation, stretch: Stretch, assets: Assets) -> list[Result]:
    """Alternating runs of both; median, minimum and maximum of their ratio."""
    a, b = federation.a.cloud.gateway, federation.b.cloud.gateway
    local, remote, machine = host_address(a), host_address(b), stretch.remotes[0]
    tunnel = (tunnel_address(a), tunnel_address(b))
    stretched = Path(stretch.local.place, machine.place, str(machine.address), MACHINE_PORT, a, tunnel)
    hosts = Path(a, b, remote, HOST_PORT, a, (local, remote), ("--bind", local))
    with ExitStack() as undo:
        undo.enter_context(protected(a, b, HOST_PORT))
        for path in (stretched, hosts):
            undo.enter_context(path.served())
        ratios = [stretched.bits_per_second() / hosts.bits_per_second() for _ in range(ROUNDS)]
    target = TARGET if assets.uml_kernel is None else TARGET_IN_USER_MODE_LINUX
    return [
        at_least(f"throughput, stretched / ESP host to host, median of {ROUNDS}", median(ratios), "ratio", target),
        reported("throughput, stretched / ESP host to host, lowest", min(ratios), "ratio"),
        reported("throughput, stretched / ESP host to host, highest", max(ratios), "ratio"),
    ]
