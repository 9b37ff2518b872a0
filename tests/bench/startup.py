"""Start-up of controller and agent: import time, time to the first reconciliation, memory.

The processes run natively on this machine against a Kubernetes API of their own, without OpenStack, peers and charon.
No lab is needed: to compare two revisions, run `python -m tests.bench startup` in a working tree of each.
"""

import json
import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final
from urllib.request import urlopen

from tests.bench.result import Result, at_most, reported
from tests.testbed.assets import Assets
from tests.testbed.host import netns, process
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.kubeconfig import service_account_kubeconfig

STARTS: Final = 5
AGENT_SECONDS_LIMIT: Final = 1.5
MEGABYTES_LIMIT: Final = 100
_NODE, _PORT = "bench", 9191
_SETTLE_SECONDS: Final = 3.0  # the watches are loaded after the first reconciliation
_SCHEMA: Final = "/usr/share/openvswitch/vswitch.ovsschema"
_DEPLOY: Final = Path(__file__).parents[2] / "deploy"
_NAMESPACES: Final = {"controller": "isthmus-system", "agent": "isthmus-gateway"}


@dataclass(frozen=True)
class Start:
    """Figures of one start of a process."""

    import_seconds: float
    """CPU time of importing all of its modules."""
    reconcile_seconds: float
    """Elapsed time until the first reconciliation has ended."""
    resident_megabytes: float
    peak_megabytes: float


def measure(assets: Assets) -> list[Result]:
    """Start each process several times; medians of the times, maxima of the memory."""
    with tempfile.TemporaryDirectory() as path, netns.anonymous():
        directory = Path(path)
        plane = ControlPlane(assets, directory / "kubernetes")
        try:
            plane.start()
            _install(plane)
            with _switch_database(directory) as socket:
                return [
                    *_results("controller", _starts("controller", assets.controller_env, plane, directory, {})),
                    *_results("agent", _starts("agent", assets.agent_env, plane, directory, _agent_settings(socket))),
                ]
        finally:
            plane.stop()


def megabytes(status: str, field: str) -> float:
    """A size of `/proc/PID/status`: `VmRSS` is the resident memory, `VmHWM` its peak."""
    found = re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"no {field}: the process has ended")
    return int(found[1]) / 1024


def _results(role: str, starts: list[Start]) -> list[Result]:
    seconds = median(start.reconcile_seconds for start in starts)
    resident = max(start.resident_megabytes for start in starts)
    reconcile, memory = f"{role}: start to first reconciliation, median of {STARTS}", f"{role}: resident memory"
    bounded = role == "agent"
    return [
        reported(f"{role}: CPU time of imports", median(start.import_seconds for start in starts), "s"),
        at_most(reconcile, seconds, "s", AGENT_SECONDS_LIMIT) if bounded else reported(reconcile, seconds, "s"),
        at_most(memory, resident, "MB", MEGABYTES_LIMIT) if bounded else reported(memory, resident, "MB"),
        reported(f"{role}: peak resident memory", max(start.peak_megabytes for start in starts), "MB"),
    ]


def _install(plane: ControlPlane) -> None:
    plane.kubectl("apply", "--server-side", "-k", str(_DEPLOY))
    plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    for kind, version in (("Node", "v1"), ("GatewayNode", "isthmus.cloud/v1alpha1")):
        manifest = {"apiVersion": version, "kind": kind, "metadata": {"name": _NODE}}
        plane.kubectl("apply", "-f", "-", input=json.dumps(manifest))


def _agent_settings(ovsdb_socket: Path) -> dict[str, object]:
    return {"node_name": _NODE, "ovsdb_socket": f"unix:{ovsdb_socket}", "vici_socket": "/nonexistent"}


def _starts(
    role: str, environment: Path, plane: ControlPlane, directory: Path, own: Mapping[str, object]
) -> list[Start]:
    node = _NODE if role == "agent" else None
    kubeconfig = directory / f"{role}.kubeconfig"
    kubeconfig.write_text(service_account_kubeconfig(plane, _NAMESPACES[role], f"isthmus-{role}", node))
    common = {"cloud_id": "cloud-x", "gateway_cidrs": ["192.0.2.0/24"], "kubeconfig": str(kubeconfig)}
    file = directory / f"{role}.yaml"
    file.write_text(json.dumps({**common, "metrics_port": _PORT, **own}))  # JSON is YAML
    python = environment / "bin" / "python"
    return [_start(python, role, {"ISTHMUS_CONFIG": str(file), "PATH": os.environ["PATH"]}) for _ in range(STARTS)]


def _start(python: Path, role: str, environment: Mapping[str, str]) -> Start:
    imports = _import_seconds(python, role)
    quiet = subprocess.DEVNULL
    command = [str(python), "-m", "isthmus.cli.main", role]
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as started:
        try:
            process.wait_until(_has_reconciled, 30, f"first reconciliation of the {role}", poll_seconds=0.02)
            seconds = time.monotonic() - began
            time.sleep(_SETTLE_SECONDS)
            status = Path(f"/proc/{started.pid}/status").read_text()
        finally:
            started.terminate()
    return Start(imports, seconds, megabytes(status, "VmRSS"), megabytes(status, "VmHWM"))


def _import_seconds(python: Path, role: str) -> float:
    """CPU time of an interpreter that imports what the process needs."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    modules = ", ".join(f"isthmus.{role}.{module}" for module in ("assembly", "run"))
    subprocess.run([str(python), "-c", f"import isthmus.cli.main, {modules}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _has_reconciled() -> bool:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=1) as reply:
        return re.search(r"^isthmus_reconciles_total\S* [1-9]", reply.read().decode(), re.MULTILINE) is not None
    return False


@contextmanager
def _switch_database(directory: Path) -> Iterator[Path]:
    """An Open vSwitch database without bridges: without any database an agent would abort its reconciliation."""
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
