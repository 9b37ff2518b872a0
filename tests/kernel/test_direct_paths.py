"""Three clouds with agents and ESP in one guest: two receivers reach each other directly, or through the origin."""

from __future__ import annotations

import re
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.telemetry.metrics import MEMBER_PATH_CHANGES
from tests.kernel.frames import BROADCAST, frame, ipv4_udp
from tests.kernel.losses import dropping_in
from tests.kernel.openvswitch import Machine, running_ping, stop_ping
from tests.kernel.side import LINK, Side
from tests.kernel.triangle import ADDRESSES, HOSTS, NUMBERS, Sides, stretch, triangle
from tests.testbed.host.process import wait_until

LONGEST_GAP = 300  # requests in a row, every 10 ms: twice what is promised


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Their agents run; the receivers are peers, and have both paths."""
    with triangle(tmp_path_factory.mktemp("clouds")) as made:
        stretch(made)
        for name in NUMBERS:
            wait_until(lambda: _path(made[name]) == "Direct", 60, f"the direct path of {name}")  # noqa: B023
        yield made


def _path(side: Side) -> str | None:
    """The path to the other receiver that the node reports."""
    found = side.kubectl.get(Attachment, LINK, names.SYSTEM_NAMESPACE)
    members = [member for entry in found.status.nodes for member in entry.members] if found else []
    return members[0].path if members else None


def _handed_on(sides: Sides) -> int:
    """Frames between the receivers, but for probes, that the origin's br-cloud has handed on until now."""
    sides["a"].switch.revalidate()  # flows show what the data path has counted only up to the last revalidation
    flows = sides["a"].switch.ofctl("dump-flows br-cloud table=7").splitlines()
    relays = [flow for flow in flows if ",reg1=0," not in flow and "priority=10" in flow]
    assert len(relays) == 2
    return sum(int(found) for flow in relays for found in re.findall(r"n_packets=(\d+)", flow))


def _switches(sides: Sides) -> dict[str, int]:
    """How often the path to the other receiver was changed."""
    found = {}
    for name in NUMBERS:
        changes = [
            sample.value
            for metric in sides[name].metrics.registry.collect()
            if metric.name == MEMBER_PATH_CHANGES.name
            for sample in metric.samples
        ]
        found[name] = int(sum(changes))
    return found


def _handed_on_while(sides: Sides, act: Callable[[], None]) -> int:
    """Frames that the origin hands on while something is done and both receivers send to each other directly.

    It is done again if a path has changed meanwhile: a guest that gets no processor for a while loses probes.
    """
    for _ in range(5):
        for name in NUMBERS:
            wait_until(lambda: _path(sides[name]) == "Direct", 60, f"the direct path of {name}")  # noqa: B023
        for name in NUMBERS:
            sides[name].switch.revalidate()
        switches, before = _switches(sides), _handed_on(sides)
        act()
        if switches == _switches(sides):
            return _handed_on(sides) - before
    raise AssertionError("the paths keep changing")


@contextmanager
def _cut() -> Iterator[None]:
    """No ESP passes between the receivers, in either direction."""
    with ExitStack() as stack:
        for name, other in (("b", "c"), ("c", "b")):
            stack.enter_context(dropping_in(name, f"ip saddr {ADDRESSES[other]} ip protocol esp"))
        yield


class Pings:
    """What came back of requests that were sent every 10 ms."""

    def __init__(self, text: str, lost: int) -> None:
        replies = re.findall(r"^\[([0-9.]+)\] .*icmp_seq=(\d+) .*$", text, re.MULTILINE)
        numbers = sorted({int(number) for _, number in replies})
        self.longest_gap = max((after - before for before, after in pairwise(numbers)), default=len(text))
        """In requests: a guest that gets no processor for a while sends none, and loses none."""
        times = [float(at) for at, _ in replies]
        self.longest_pause_seconds = max((after - before for before, after in pairwise(times)), default=0.0)
        self.twice = [number for number, count in Counter(number for _, number in replies).items() if count > 1]
        self.lost = lost


@contextmanager
def _pinging(machine: Machine, address: str) -> Iterator[Callable[[], Pings]]:
    with running_ping(machine.netns, "-nDi", "0.01", address) as (process, output):

        def stop() -> Pings:
            lost = stop_ping(process, output)
            return Pings(output(), lost)

        yield stop


class Broadcasts:
    """Numbered broadcasts of one machine, one every 20 ms, and how often each arrived at the others."""

    def __init__(self, sides: Sides, sender: str) -> None:
        self._machine, self._address = sides[sender].machine, HOSTS[sender]
        self._others = {name: side.machine for name, side in sides.items() if name != sender}
        self._stop, self.sent = threading.Event(), list[bytes]()
        self.arrived: dict[str, Counter[bytes]] = {}

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Meanwhile; everything has arrived afterwards."""
        with ExitStack() as stack, ThreadPoolExecutor() as threads:
            listening = {n: stack.enter_context(machine.listening()) for n, machine in self._others.items()}
            waiting = {name: threads.submit(self._receive, received) for name, received in listening.items()}
            sender = threading.Thread(target=self._send)
            sender.start()
            try:
                yield
            finally:
                self._stop.set()
                sender.join()
            sent = {*self.sent}
            self.arrived = {n: Counter(f for f in found.result() if f in sent) for n, found in waiting.items()}

    def _receive(self, received: Callable[[float], list[bytes]]) -> list[bytes]:
        """However long nothing arrives, as long as more is sent."""
        frames = list[bytes]()
        while not self._stop.is_set():
            frames += received(1.0)
        return frames + received(4.0)

    def _send(self) -> None:
        number = 0
        while not self._stop.wait(0.02):
            datagram = ipv4_udp(self._address, "10.20.0.255", 9, 9, struct.pack("!I", number))
            self.sent.append(frame(BROADCAST, self._machine.mac, datagram))
            self._machine.send(self.sent[-1])
            number += 1

    def require_once(self, name: str, *, lost: int = 0) -> None:
        """Each arrived once at that cloud, but for as many as may be lost."""
        assert {*self.arrived[name].values()} == {1}, "nothing twice"
        assert len(self.sent) - len(self.arrived[name]) <= lost


def test_frames_between_receivers_do_not_touch_the_origin(sides: Sides) -> None:

    def send() -> None:
        assert sides["b"].machine.ping(HOSTS["c"], 20) == 20
        for sender in HOSTS:
            broadcasts = Broadcasts(sides, sender)
            with broadcasts.sending():
                time.sleep(0.5)
            for name in HOSTS.keys() - {sender}:
                broadcasts.require_once(name)

    assert _handed_on_while(sides, send) == 0


def test_cut_direct_path_is_replaced_by_the_one_through_the_origin_and_taken_again(sides: Sides) -> None:
    """Both are measured from machine to machine, there and back, while broadcasts are counted."""
    b, broadcasts, switches = sides["b"], Broadcasts(sides, "c"), _switches(sides)
    with broadcasts.sending(), _pinging(b.machine, HOSTS["c"]) as stop:
        time.sleep(1)
        with _cut():
            for name in NUMBERS:
                wait_until(lambda: _path(sides[name]) == "ThroughOrigin", 30, f"the other path of {name}")  # noqa: B023
            time.sleep(1)
            assert _handed_on(sides) > 0
        cut = stop()
        print(f"longest gap: {cut.longest_gap} requests of every 10 ms, {cut.longest_pause_seconds:.2f} s by the clock")
        assert cut.longest_gap < LONGEST_GAP
        assert cut.twice == []
    broadcasts.require_once("a")
    broadcasts.require_once("b", lost=LONGEST_GAP)
    again = Broadcasts(sides, "c")
    with again.sending(), _pinging(b.machine, HOSTS["c"]) as stop:
        for name in NUMBERS:
            wait_until(lambda: _path(sides[name]) == "Direct", 60, f"the direct path of {name}")  # noqa: B023
        assert _handed_on_while(sides, lambda: time.sleep(1)) == 0
        restored = stop()
        assert (restored.lost, restored.twice) == (0, [])
    for name in ("a", "b"):
        again.require_once(name)
    # More than twice if the guest gets no processor for as long as three probes take.
    assert all(count >= switches[name] + 2 for name, count in _switches(sides).items())


def test_restarted_agents_change_no_path(sides: Sides) -> None:
    b = sides["b"]
    for name in NUMBERS:
        wait_until(lambda: _path(sides[name]) == "Direct", 60, f"the direct path of {name}")  # noqa: B023
    with _pinging(b.machine, HOSTS["c"]) as stop:
        for name in NUMBERS:
            sides[name].stop()
            sides[name].effects.clear()
            sides[name].start()
        time.sleep(5)
        pings = stop()
    assert (pings.lost, pings.twice) == (0, [])
    # None at all, unless the guest gets no processor for as long as three probes take.
    for name, count in _switches(sides).items():
        assert sum(effect.startswith("replace (") for effect in sides[name].effects) <= count
