"""Open vSwitch of a gateway node in a network namespace, with machines plugged into br-int."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from tests.testbed.host.process import wait_until

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_SILENT_SECONDS = 0.5
_ANOTHER_SECONDS = 5.0
_LATE_SECONDS = 20.0  # a slow machine takes a second for what Open vSwitch must decide on
_RECEIVE_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33  # <asm-generic/socket.h>
_REPLY = re.compile(r"^(?:\[[0-9.]+\] )?\d+ bytes from .*icmp_seq=(\d+)", re.MULTILINE)
_PORTION = 250  # frames; the kernel's queue of received ones holds 1000 (net.core.netdev_max_backlog)


def sh(command: str, netns: str | None = None) -> str:
    """Run a line of shell in a network namespace."""
    words = ["bash", "-ec", command]
    words = ["ip", "netns", "exec", netns, *words] if netns else words
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def inside(netns: str, call: Callable[[], T]) -> T:
    """Call a function on a thread in the network namespace."""
    result: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            with open(f"/run/netns/{netns}") as file:
                if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), f"cannot enter {netns}")
            result.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]


def _queued() -> int:
    """Frames in the queues, one for each processor, that all devices without one of their own have in common: veth."""
    lines = Path("/proc/net/softnet_stat").read_text().splitlines()
    return sum(int(line.split()[11], 16) for line in lines)  # since Linux 5.10


def within(netns: str, port: T) -> T:
    """The same port, called in a network namespace."""

    class Within:
        def __getattr__(self, name: str) -> Any:
            return lambda *arguments, **named: inside(netns, lambda: getattr(port, name)(*arguments, **named))

    return cast(T, Within())


class Switch:
    """One node: ovsdb-server, ovs-vswitchd with the kernel's data path, br-int as a learning switch."""

    def __init__(self, netns: str, directory: Path) -> None:
        self.netns = netns
        self.directory = directory
        directory.mkdir(parents=True)
        self.socket = f"unix:{directory}/db.sock"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        sh(f"ovsdb-tool create {directory}/conf.db {_SCHEMA}")
        self.start_database()
        self.vsctl(f"--no-wait init -- set Open_vSwitch . external_ids:hostname=host-{netns} ovs_version=3.1")
        self.start_vswitchd()
        self.vsctl("add-br br-int -- set bridge br-int fail_mode=secure")
        self.ofctl("add-flow br-int priority=0,actions=NORMAL")

    def start_database(self) -> None:
        self._start("ovsdb-server", f"{self.directory}/conf.db", f"--remote=p{self.socket}")
        wait_until(lambda: (self.directory / "db.sock").exists(), 30, "ovsdb-server's socket")

    def start_vswitchd(self) -> None:
        self._start("ovs-vswitchd", self.socket)
        wait_until(lambda: (self.directory / "ovs-vswitchd.ctl").exists(), 30, "ovs-vswitchd's socket")

    def restart_vswitchd(self) -> None:
        """Kill and restart it: it has no flows, and answers on the bridges' sockets only after a while."""
        self.kill("ovs-vswitchd")
        self.start_vswitchd()
        for bridge in self.vsctl("list-br").split():
            wait_until(lambda: self._serves(bridge), 60, f"ovs-vswitchd to serve {bridge} again")  # noqa: B023
        self.ofctl("add-flow br-int priority=0,actions=NORMAL")

    def _serves(self, bridge: str) -> bool:
        command = ["ovs-ofctl", "show", f"unix:{self.directory}/{bridge}.mgmt"]
        return subprocess.run(command, capture_output=True).returncode == 0

    def _start(self, program: str, *arguments: str) -> None:
        control = self.directory / f"{program}.ctl"
        control.unlink(missing_ok=True)
        log = f"--log-file={self.directory}/{program}.log"
        pidfile = f"--pidfile={self.directory}/{program}.pid"
        words = [program, *arguments, f"--unixctl={control}", log, pidfile, "--verbose=console:off"]
        environment = os.environ | {f"OVS_{name}DIR": str(self.directory) for name in ("RUN", "LOG", "DB")}
        self._processes[program] = subprocess.Popen(["ip", "netns", "exec", self.netns, *words], env=environment)

    def kill(self, program: str) -> None:
        """Kill a daemon."""
        process = self._processes.pop(program)
        process.kill()
        process.wait()
        if program == "ovsdb-server":
            (self.directory / "db.sock").unlink(missing_ok=True)

    def stop(self) -> None:
        for program in ("ovs-vswitchd", "ovsdb-server"):
            if program in self._processes:
                self.kill(program)

    def vsctl(self, arguments: str) -> str:
        return sh(f"ovs-vsctl --timeout=60 --db={self.socket} {arguments}").strip()

    def ofctl(self, arguments: str) -> str:
        return sh(f"OVS_RUNDIR={self.directory} ovs-ofctl -O OpenFlow15 {arguments}")

    def appctl(self, arguments: str) -> str:
        return sh(f"ovs-appctl -t {self.directory}/ovs-vswitchd.ctl {arguments}")

    def revalidate(self) -> None:
        """Wait until cached flows follow the bridges' flows, and these have counted what the cached ones have."""
        self.appctl("revalidator/wait")

    def attach_port(self, name: str, address: str, tag: int) -> Machine:
        """Plug a machine into br-int, in the local VLAN of its network."""
        sh(
            f"ip netns add {name} && ip -n {name} link set lo up\n"
            f"ip link add t-{name} netns {self.netns} type veth peer name eth0 netns {name}\n"
            f"ip -n {self.netns} link set t-{name} up\n"
            f"ip -n {name} link set eth0 mtu 1416 && ip -n {name} addr add {address}/24 dev eth0\n"
            f"ip -n {name} link set eth0 up"
        )
        self.vsctl(f"add-port br-int t-{name} tag={tag}")
        return Machine(name)


class Machine:
    """A network namespace with one interface."""

    def __init__(self, netns: str) -> None:
        self.netns = netns
        self.mac = sh("cat /sys/class/net/eth0/address", netns).strip()

    def frames(self, direction: Literal["tx", "rx"]) -> int:
        """Number of frames that it has sent or received."""
        return int(sh(f"cat /sys/class/net/eth0/statistics/{direction}_packets", self.netns))

    def ping(self, address: str, count: int = 3) -> int:
        """Number of answered requests; see `ping`."""
        return ping(self.netns, count, address)[0]

    @contextmanager
    def pinging(self, address: str) -> Iterator[Callable[[], int]]:
        """Send a request every 10 ms; yields a function that stops and returns the number of lost requests."""
        with running_ping(self.netns, "-ni", "0.01", address) as (process, output):
            yield lambda: stop_ping(process, output)

    def send(self, *frames: bytes) -> None:
        """As fast as the kernel takes them from its queue of received ones: what that cannot hold, nobody counts."""
        with self._packets() as packets:
            for first in range(0, len(frames), _PORTION):
                for frame in frames[first : first + _PORTION]:
                    packets.send(frame)
                if len(frames) > _PORTION:
                    wait_until(lambda: _queued() == 0, 20, "the kernel to empty its queue", poll_seconds=0.001)

    @contextmanager
    def listening(self) -> Iterator[Callable[[float], list[bytes]]]:
        """Record received frames; yields a function that waits for so many seconds and returns them."""
        packets = self._packets()
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)

        def received(quiet_seconds: float) -> list[bytes]:
            packets.settimeout(quiet_seconds)
            frames: list[bytes] = []
            while True:
                try:
                    frame, (_, _, kind, _, _) = packets.recvfrom(4096)
                except TimeoutError:
                    return frames
                if kind != socket.PACKET_OUTGOING:
                    frames.append(frame)

        try:
            yield received
        finally:
            packets.close()

    def _packets(self) -> socket.socket:
        def make() -> socket.socket:
            packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
            packets.bind(("eth0", 0x0003))
            return packets

        return inside(self.netns, make)


def ping(netns: str, count: int, *words: str) -> tuple[int, str]:
    """Number of answered requests, of so many, and all that ping has written; `words` end with the address.

    Waits for a second if none is answered, and longer for the others: by itself, ping waits for the last reply no
    longer than for the others before, or 0.1 s.
    """
    options = ["-nc", str(count), "-i", "0.1", "-w", f"{_LATE_SECONDS:.0f}"]
    with running_ping(netns, *options, *words) as (process, output):
        program = Path(f"/proc/{process.pid}/comm")
        wait_until(lambda: program.read_text() == "ping\n", _LATE_SECONDS, "ping instead of ip", 0.02)
        with suppress(TimeoutError):
            none_seconds = 0.1 * (count - 1) + 1
            wait_until(lambda: process.poll() is not None or _replies(output()), none_seconds, "a reply", 0.02)
            process.wait()
        process.send_signal(signal.SIGINT)
        process.wait()
        # Until as many are answered, ping goes on asking.
        return len([number for number in _replies(output()) if number <= count]), output()


@contextmanager
def running_ping(netns: str, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], Callable[[], str]]]:
    """The running program, and a function that returns what it has written so far."""
    with tempfile.NamedTemporaryFile() as file:
        command = ["ip", "netns", "exec", netns, "ping", *words]
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        try:
            yield process, Path(file.name).read_text
        finally:
            process.kill()
            process.wait()


def stop_ping(process: subprocess.Popen[bytes], output: Callable[[], str]) -> int:
    """Stop a running ping; returns the number of lost requests, up to the next one that is answered.

    Of those after it, nobody knows yet. Without another reply, they are lost.
    """
    before = max(_replies(output()), default=0)
    with suppress(TimeoutError):
        wait_until(lambda: max(_replies(output()), default=0) > before, _ANOTHER_SECONDS, "another reply")
    last = max(_replies(output()), default=0)
    # Requests that waited for a decision of ovs-vswitchd are overtaken by what its new flow passes.
    with suppress(TimeoutError):
        wait_until(lambda: not _unanswered(output(), last), _ANOTHER_SECONDS, "the replies to those before it")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    sent = re.search(r"(\d+) packets transmitted", output())
    assert sent is not None
    return len(_unanswered(output(), last if last > before else int(sent[1])))


def _unanswered(output: str, count: int) -> set[int]:
    """The numbers of those among so many requests that were not answered."""
    return {*range(1, count + 1)} - _replies(output)


def _replies(output: str) -> set[int]:
    """The numbers of the requests that were answered, from what ping has written."""
    return {int(number) for number in _REPLY.findall(output)}


def received_with(
    received: Callable[[float], list[bytes]], wanted: Callable[[list[bytes]], object], quiet_seconds: float = 0.5
) -> list[bytes]:
    """What a machine that is `listening` receives until that has what is wanted, and then nothing for a while.

    Without it everything is returned after some time, too.
    """
    frames, ends_at = received(quiet_seconds), time.monotonic() + _LATE_SECONDS
    while not wanted(frames) and time.monotonic() < ends_at:
        frames += received(quiet_seconds)
    return frames


def arrived(sender: Machine, receiver: Machine, sent: bytes, count: int) -> tuple[int, float]:
    """Send the frame as often as that at once; returns how often it arrived, and the seconds until the last did."""
    before, began = receiver.frames("rx"), time.monotonic()
    sender.send(*[sent] * count)
    last = time.monotonic()
    passed = receiver.frames("rx") - before
    while time.monotonic() < last + _SILENT_SECONDS:  # queues are still being emptied
        now = receiver.frames("rx") - before
        if now != passed:
            passed, last = now, time.monotonic()
    return passed, last - began
