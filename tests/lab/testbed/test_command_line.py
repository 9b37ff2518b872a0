"""The command line brings up a second lab next to the first; nothing listens on the host, and nothing is left."""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import gettempdir

import pytest

from tests.testbed import state
from tests.testbed.lab import Lab

pytestmark = [pytest.mark.stage("alone"), pytest.mark.long]

# Generated for this run, so that no other process on the host has it by chance.
NAME = state.new_name()
# An environment variable of all processes that its commands start.
_VARIABLE = "SECOND_LAB_OF_ISTHMUS"
# Opened when tests are collected: pytest moves into the tester's namespace only after that.
_HOST_NETWORK = os.open("/proc/self/ns/net", os.O_RDONLY)


def on_the_host(*command: str) -> str:
    """Run a command in the network namespace that pytest was started in."""
    words = ["nsenter", f"--net=/proc/self/fd/{_HOST_NETWORK}", *command]
    marked = {**os.environ, _VARIABLE: NAME}
    done = subprocess.run(words, capture_output=True, text=True, timeout=600, pass_fds=[_HOST_NETWORK], env=marked)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def lab_command(*arguments: str) -> str:
    """Run the testbed's command line on the host."""
    return on_the_host(sys.executable, "-m", "tests.testbed", "--lab", NAME, *arguments)


def listening() -> list[str]:
    """Listening sockets of the second lab's processes on the host; other processes' sockets may vary."""
    listed = on_the_host("ss", "-H", "--listening", "--tcp", "--udp", "--numeric", "--processes")
    return [line for line in listed.splitlines() if any(map(is_of_the_lab, re.findall(r"pid=(\d+)", line)))]


def is_of_the_lab(pid: str) -> bool:
    """Whether the process was started by a command of the second lab, however long ago."""
    try:
        return f"{_VARIABLE}={NAME}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def left_on_the_host() -> list[str]:
    """Network namespaces, directories and processes of the second lab."""
    namespaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines()
    files = [*Path("/dev/shm").iterdir(), *Path(gettempdir()).glob("isthmus-*")]
    found = [line for line in (*namespaces, *map(str, files)) if NAME in line]
    return found + [line for pid in all_processes() if is_of_the_lab(pid) and (line := command_line(pid))]


def all_processes() -> list[str]:
    """IDs of all processes."""
    return [entry.name for entry in Path("/proc").glob("[0-9]*")]


def command_line(pid: str) -> str:
    """Command line of the process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


@pytest.mark.usefixtures("lab")
def test_second_lab_leaves_nothing_behind(lab: Lab) -> None:
    assert left_on_the_host() == []
    try:
        assert f"lab {NAME} is up" in lab_command("up")
        assert "cloud c is up" in lab_command("third")
        assert any(map(is_of_the_lab, all_processes())), "its processes can be identified"
        assert listening() == []
        status = lab_command("status")
        assert "cloud a: ovn" in status
        assert "cloud c: ovn" in status
        assert "dead" not in status
        assert "br-int" in lab_command("exec", "gw-a1", "ovs-vsctl", "show")
        assert "gw-b1" in lab_command("kubectl", "b", "get", "nodes")
        assert "gw-c1" in lab_command("kubectl", "c", "get", "nodes")
        assert "dhcp-warm-up" in lab_command("openstack", "b", "network", "list")
        assert "esp" in lab_command("capture", "1")
        # The first lab is not affected.
        assert lab.a.gateway.run(["hostname"]).stdout.strip() == "gw-a1"
        assert lab.b.kubectl("get", "nodes", "-o", "name").strip() == "node/gw-b1"
    finally:
        lab_command("down")
    assert left_on_the_host() == []
    assert listening() == []
