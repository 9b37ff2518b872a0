"""Two receivers of a network: directly, and through its origin, which hands their frames on; in interleaved rounds.

Three clouds with agents, and two networks: with topology Decentralized there is the direct path alone, with Centralized
the other one. So no gateway node has a choice, and no round waits for one.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path as Directory
from statistics import median
from typing import Final

from isthmus.model import names
from isthmus.model.api.v1alpha1.networkexpansion import Topology
from tests.bench.tunnels.esp import carried_bytes
from tests.bench.tunnels.iperf import Path
from tests.bench.tunnels.rounds import Crossing, PathName, Run
from tests.kernel.openvswitch import Switch, sh
from tests.kernel.side import NETWORK
from tests.kernel.triangle import Sides, stretch, triangle
from tests.testbed.host.process import wait_until

CASE: Final = "TCP between two receivers, 1 stream"
ROUNDS: Final = 7
_SECONDS: Final = 2
_PINGS: Final = 100
_PATHS: Final[tuple[tuple[PathName, Topology, str], ...]] = (
    ("direct", "Decentralized", "b"),
    ("relayed", "Centralized", "a"),
)
"""Each with a cloud whose gateway node must carry what is sent."""
_CIPHER: Final = "aes256gcm16"
_CONNECTING_SECONDS: Final = 60


def measure(directory: Directory) -> list[Crossing]:
    """Both paths in each round."""
    with triangle(directory) as sides, ExitStack() as undo:
        paths = [_path(sides, number, undo) for number in range(1, len(_PATHS) + 1)]
        for path in paths:
            undo.enter_context(path.served())
            path.tcp(1)  # so that addresses are known
        _require_direct(paths[0])
        return [crossing for number in range(ROUNDS) for crossing in _round(number, paths)]


def _round(number: int, paths: list[Path]) -> Iterator[Crossing]:
    for path in paths:
        arrived, milliseconds = path.tcp(_SECONDS), _round_trip(path)
        megabits = arrived.bits / arrived.seconds / 1e6
        print(f"round {number}: {path.name}: {megabits:.1f} Mbit/s, {milliseconds:.3f} ms", flush=True)
        run = Run(number, CASE, path.name, arrived.bits, arrived.seconds, arrived.number)
        yield Crossing(run, milliseconds)


def _path(sides: Sides, number: int, undo: ExitStack) -> Path:
    """From a machine at `b` to one at `c`, in a network of its own; the number is also that of the VLAN on br-int."""
    name, topology, gateway = _PATHS[number - 1]
    network = f"{NETWORK[:-1]}{number}"
    stretch(sides, topology, network, 0x10 * number)
    for side in sides.values():
        _join(side.switch, names.link_name("cloud-a", network), number)
    client, server = (f"vm-{peer}{number}" for peer in ("b", "c"))
    near, far = (f"10.2{number}.0.{host}" for host in (12, 13))
    undo.callback(sh, f"ip netns del {client}; ip netns del {server}")
    sides["c"].switch.attach_port(server, far, number)
    machine = sides["b"].switch.attach_port(client, near, number)
    wait_until(lambda: machine.ping(far) == 3, _CONNECTING_SECONDS, f"the {name} path")
    return Path(name, _CIPHER, client, server, far, gateway)


def _join(switch: Switch, link_name: str, tag: int) -> None:
    """Put the patch into the VLAN of its network, as Neutron does."""
    patch = names.patch_in_integration_bridge(link_name)
    wait_until(
        lambda: patch in switch.vsctl("list-ports br-int").split(), _CONNECTING_SECONDS, f"the patch of {link_name}"
    )
    switch.vsctl(f"set Port {patch} tag={tag}")


def _require_direct(path: Path) -> None:
    """Raise RuntimeError if what is sent goes through the origin, whose tunnels carry probes only."""
    before = carried_bytes("a")
    arrived = path.tcp(1).bits / 8
    if (carried := carried_bytes("a") - before) > arrived / 2:
        raise RuntimeError(f"{arrived:.0f} bytes came to {path.address}, and the origin carried {carried}")


def _round_trip(path: Path) -> float:
    """Median of the round-trip times, in milliseconds; raises RuntimeError if a reply is missing."""
    words = ["ip", "netns", "exec", path.client, "ping", "-n", "-c", str(_PINGS), "-i", "0.01", path.address]
    output = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout
    times = [float(found) for found in re.findall(r"time=([\d.]+) ms", output)]
    if len(times) != _PINGS:
        raise RuntimeError(f"{len(times)} of {_PINGS} requests to {path.address} were answered:\n{output}")
    return median(times)
