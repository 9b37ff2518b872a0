"""How soon an agent has done its first round, and how much memory agents take."""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from tests.bench.result import Result, at_most
from tests.testbed.assets import Assets
from tests.testbed.host import process
from tests.testbed.install.federation import Federation
from tests.testbed.node.guest.execd import RECORDS

PORT = 9191
STARTS = 3
SECONDS_LIMIT = 1.5
MEGABYTES_LIMIT = 100
_SETTLE_SECONDS = 3.0  # what watches the API is loaded after the first round
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def memory(federation: Federation) -> Result:
    """The larger of both agents at work: measured while a network is stretched."""
    nodes = [side.cloud.gateway for side in federation.both]
    pids = [node.get(str(RECORDS / "isthmus-agent")).split()[0] for node in nodes]
    found = [_resident_megabytes(node.get(f"/proc/{pid}/status")) for node, pid in zip(nodes, pids, strict=True)]
    return at_most("agent's resident memory on a gateway node, larger of 2", max(found), "MB", MEGABYTES_LIMIT)


def measure(federation: Federation, assets: Assets) -> list[Result]:
    """Start agents in the tester namespace, natively on this machine, with an empty switch: nothing needs to change."""
    directory = federation.lab.directory / "bench"
    directory.mkdir()
    command = [str(assets.agent_env / "bin" / "python"), "-m", "isthmus.cli.main", "agent"]
    with _switch_database(directory) as socket:
        environment = {
            "ISTHMUS_CONFIG": str(federation.lab.directory / "isthmus-b" / "agent.yaml"),
            "ISTHMUS_METRICS_ADDRESS": "127.0.0.1",
            "ISTHMUS_METRICS_PORT": str(PORT),
            "ISTHMUS_NODE_NAME": "bench",
            "ISTHMUS_OVSDB_SOCKET": f"unix:{socket}",
            "ISTHMUS_VICI_SOCKET": "/nonexistent",
            "PATH": os.environ["PATH"],
        }
        starts = [_start(command, environment) for _ in range(STARTS)]
    seconds, megabytes = zip(*starts, strict=True)
    return [
        at_most(f"agent's start to its first reconcile, median of {STARTS}", median(seconds), "s", SECONDS_LIMIT),
        at_most("agent's resident memory, natively", max(megabytes), "MB", MEGABYTES_LIMIT),
    ]


def _start(command: list[str], environment: Mapping[str, str]) -> tuple[float, float]:
    """Seconds to the first reconcile, and megabytes some time after it."""
    quiet = subprocess.DEVNULL
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as agent:
        try:
            process.wait_until(_has_reconciled, 30, "the agent's first reconcile", poll_seconds=0.02)
            seconds = time.monotonic() - began
            time.sleep(_SETTLE_SECONDS)
            return seconds, _resident_megabytes(Path(f"/proc/{agent.pid}/status").read_text())
        finally:
            agent.terminate()


def _has_reconciled() -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{PORT}/metrics", timeout=1) as reply:
        return re.search(r"^isthmus_reconciles_total\S* [1-9]", reply.read().decode(), re.MULTILINE) is not None
    return False


@contextmanager
def _switch_database(directory: Path) -> Iterator[Path]:
    """An Open vSwitch database without a bridge: an agent that found none would give up its round half-way."""
    database, socket = directory / "switch.db", directory / "switch.sock"
    subprocess.run(["ovsdb-tool", "create", str(database), _SCHEMA], check=True)
    server = ["ovsdb-server", str(database), f"--remote=punix:{socket}", f"--unixctl={directory / 'switch.ctl'}"]
    process.spawn(server, name="ovsdb-server", directory=directory)
    try:
        process.wait_until(socket.is_socket, 10, str(socket))
        subprocess.run(["ovs-vsctl", f"--db=unix:{socket}", "--no-wait", "init"], check=True)
        yield socket
    finally:
        process.stop(directory, "ovsdb-server")


def _resident_megabytes(status: str) -> float:
    """What `/proc/PID/status` tells."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise RuntimeError("a process without memory: it is gone")
    return int(found[1]) / 1024
