"""The lab's command line brings up a second lab beside the first; it listens nowhere on the host and leaves nothing."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.lab import state
from tests.lab.lab import Lab

# Made for this run, so that no other process on the host carries it by chance.
NAME = state.new_name()
# Opened when tests are collected: pytest moves to the desk of its lab only after that.
_HOST_NETWORK = os.open("/proc/self/ns/net", os.O_RDONLY)


def on_the_host(*command: str) -> str:
    """Run a command in the network namespace that pytest was started in."""
    words = ["nsenter", f"--net=/proc/self/fd/{_HOST_NETWORK}", *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, pass_fds=[_HOST_NETWORK])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lab_command(*arguments: str) -> str:
    """Run the command line as somebody on the host would."""
    return on_the_host(sys.executable, "-m", "tests.lab", "--lab", NAME, *arguments)


def left_on_the_host() -> list[str]:
    """Network namespaces, directories and processes of the second lab."""
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines()
    files = [*Path("/dev/shm").iterdir(), *Path(gettempdir()).glob("isthmus-*")]
    found = [line for line in (*namespaces, *map(str, files)) if NAME in line]
    return [*found, *processes().values()]


def processes() -> dict[int, str]:
    """The second lab's processes, as they were called."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if NAME in line and int(process.name) != os.getpid():
                found[int(process.name)] = line
    return found


def listening() -> list[str]:
    """Sockets in the host's network on which a process of the second lab listens."""
    listed = on_the_host("ss", "-H", "--listening", "--tcp", "--udp", "--numeric", "--processes").splitlines()
    owners = processes()
    return [line for line in listed if any(int(pid) in owners for pid in re.findall(r"pid=(\d+)", line))]


@pytest.mark.usefixtures("lab")
def test_second_lab_comes_and_goes_without_a_trace(lab: Lab) -> None:
    assert left_on_the_host() == []
    try:
        assert f"lab {NAME} is up" in lab_command("up")
        assert len(processes()) > 20
        assert listening() == []
        status = lab_command("status")
        assert "cloud a: ovn" in status
        assert "dead" not in status
        assert "br-int" in lab_command("exec", "gw-a1", "ovs-vsctl", "show")
        assert "gw-b1" in lab_command("kubectl", "b", "get", "nodes")
        assert "dhcp-warm-up" in lab_command("openstack", "b", "network", "list")
        assert "esp" in lab_command("capture", "1")
        # The first lab has not noticed.
        assert lab.a.gateway.run(["hostname"]).stdout.strip() == "gw-a1"
        assert lab.b.kubectl("get", "nodes", "-o", "name").strip() == "node/gw-b1"
    finally:
        lab_command("down")
    assert left_on_the_host() == []
