"""How soon an agent answers and how much memory it takes, on the machine's own processor."""

import os
import socket
import subprocess
import time
from pathlib import Path

from tests.bench.result import Result, at_most
from tests.lab.assets import Assets
from tests.lab.federation import Federation
from tests.lab.process import wait_until

PORT = 9191
SECONDS_LIMIT = 1.5
MEGABYTES_LIMIT = 100


def measure(federation: Federation, assets: Assets) -> list[Result]:
    """Start an agent at the desk, without a node: everything is imported and watched, nothing is to be done."""
    configuration = federation.lab.directory / "isthmus-b" / "agent.yaml"
    environment = {
        "ISTHMUS_CONFIG": str(configuration),
        "ISTHMUS_METRICS_ADDRESS": "127.0.0.1",
        "ISTHMUS_METRICS_PORT": str(PORT),
        "ISTHMUS_NODE_NAME": "bench",
        "ISTHMUS_OVSDB_SOCKET": "unix:/nonexistent",
        "ISTHMUS_VICI_SOCKET": "/nonexistent",
        "PATH": os.environ["PATH"],
    }
    argv = [str(assets.agent_env / "bin" / "python"), "-m", "isthmus.cli.main", "agent"]
    began = time.monotonic()
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as agent:
        try:
            wait_until(_answers, 30, "/metrics of the agent", poll_seconds=0.02)
            took = time.monotonic() - began
            time.sleep(3)
            megabytes = _resident_megabytes(agent.pid)
        finally:
            agent.terminate()
    return [
        at_most("agent's start until /metrics answers", took, "s", SECONDS_LIMIT),
        at_most("agent's resident memory", megabytes, "MB", MEGABYTES_LIMIT),
    ]


def _answers() -> bool:
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
    except OSError:
        return False
    return True


def _resident_megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} is gone")
