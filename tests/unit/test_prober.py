"""State of a link, determined by the last dataplane probes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from types import MappingProxyType

from isthmus.agent.gauges import publish_probes
from isthmus.agent.prober import ProbedLink, Prober
from isthmus.model.errors import MissingCapability, Unavailable
from isthmus.model.node.host import ProbeResult
from isthmus.telemetry.metrics import LINK_RTT, Metrics

LINK = ("cloud-a.net", "cloud-b")


class ScriptedProbe:
    """A dataplane probe whose answers the test decides."""

    def __init__(self) -> None:
        self.answers = True
        self.broken = False
        self.sends = True
        self.during: Callable[[], None] = lambda: None

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        if self.broken:
            raise Unavailable("no probe port")
        self.during()
        if not self.sends:
            return dict.fromkeys(macs, ProbeResult(0, 0, None))
        return {link: ProbeResult(1, int(self.answers), 0.002 if self.answers else None) for link in macs}


def test_link_is_up_after_one_answer_and_down_after_three_losses() -> None:
    probe, changes, metrics = ScriptedProbe(), list[int](), Metrics()
    prober = Prober(probe, 1, lambda: changes.append(1), partial(publish_probes, metrics))
    prober.follow({LINK: "02:00:00:00:00:01"})
    assert prober.up() == {}
    prober.probe_once()
    assert (prober.up(), metrics.values(LINK_RTT), len(changes)) == ({LINK: True}, {LINK: 0.002}, 1)
    probe.answers = False
    prober.probe_once()
    prober.probe_once()
    assert prober.up() == {LINK: True}
    prober.probe_once()
    assert (prober.up(), metrics.values(LINK_RTT), len(changes)) == ({LINK: False}, {}, 2)


def test_probes_are_counted_until_the_link_is_removed() -> None:
    probe, published = ScriptedProbe(), list[Mapping[tuple[str, str], ProbedLink]]()
    prober = Prober(probe, 1, lambda: None, published.append)
    prober.follow({LINK: "02:00:00:00:00:01"})
    prober.probe_once()
    probe.answers = False
    prober.probe_once()
    probe.sends = False
    prober.probe_once()
    assert published[-1] == {LINK: ProbedLink(True, 2, 1, 0.002)}
    prober.follow({})
    prober.probe_once()
    assert published[-1] == {}


def test_missing_probe_port_counts_as_lost() -> None:
    probe = ScriptedProbe()
    probe.broken = True
    prober = Prober(probe, 1, lambda: None)
    prober.follow({LINK: "02:00:00:00:00:01"})
    for _ in range(3):
        prober.probe_once()
    assert prober.up() == {LINK: False}


def test_without_the_capability_nothing_is_known_of_a_link() -> None:
    class Forbidding:
        def exchange(self, *_: object) -> Mapping[str, ProbeResult]:
            raise MissingCapability("CAP_NET_RAW")

    changes = list[int]()
    prober = Prober(Forbidding(), 1, lambda: changes.append(1))
    prober.follow({LINK: "02:00:00:00:00:01"})
    for _ in range(4):
        prober.probe_once()
    assert (prober.up(), len(changes)) == ({}, 1)
    assert prober.problem is not None
    assert prober.problem.reason == "MissingCapability"


def test_many_links_are_probed_at_a_bounded_rate() -> None:
    spreads = list[float]()

    class Counting(ScriptedProbe):
        def exchange(
            self,
            macs: Mapping[str, str],
            timeout_seconds: float,
            spread_seconds: float = 0.0,
            mtus: Mapping[str, int] = MappingProxyType({}),
            whole: bool = False,
        ) -> Mapping[str, ProbeResult]:
            spreads.append(spread_seconds)
            return super().exchange(macs, timeout_seconds, spread_seconds)

    prober = Prober(Counting(), 2, lambda: None)
    for links in (10, 10_000):
        prober.follow({(f"cloud-a.{i}", "cloud-b"): "02:00:00:00:00:01" for i in range(links)})
        prober.probe_once()
    assert spreads == [1.0, 5.0]


def test_frame_that_was_not_sent_says_nothing_about_its_link() -> None:
    probe = ScriptedProbe()
    prober = Prober(probe, 1, lambda: None)
    prober.follow({LINK: "02:00:00:00:00:01"})
    prober.probe_once()
    probe.sends = False
    for _ in range(3):
        prober.probe_once()
    assert prober.up() == {LINK: True}


def test_link_that_is_added_while_others_are_probed_loses_nothing() -> None:
    added = ("cloud-a.other", "cloud-b")
    both = {LINK: "02:00:00:00:00:01", added: "02:00:00:00:00:02"}
    probe = ScriptedProbe()
    probe.answers = False
    prober = Prober(probe, 1, lambda: None)
    prober.follow({LINK: both[LINK]})
    probe.during = lambda: prober.follow(both)
    for _ in range(3):
        prober.probe_once()
    assert prober.up() == {LINK: False}, "the new link was probed twice so far"
    prober.probe_once()
    assert prober.up() == {LINK: False, added: False}


def test_interval_includes_the_time_that_an_exchange_takes() -> None:
    began = list[float]()
    enough = threading.Event()

    def exchange() -> None:
        began.append(time.monotonic())
        if len(began) == 4:
            enough.set()
        time.sleep(0.15)

    probe = ScriptedProbe()
    probe.during = exchange
    prober = Prober(probe, 0.2, lambda: None)
    prober.start()
    prober.follow({LINK: "02:00:00:00:00:01"})
    assert enough.wait(10)
    prober.stop()
    # The first of them may be one that `follow` has asked for.
    assert min(later - earlier for earlier, later in pairwise(began[1:])) < 0.3


def test_state_of_a_link_is_kept_in_a_new_plan() -> None:
    prober = Prober(ScriptedProbe(), 1, lambda: None)
    prober.follow({LINK: "02:00:00:00:00:01"})
    prober.probe_once()
    prober.follow({LINK: "02:00:00:00:00:01", ("cloud-a.other", "cloud-b"): "02:00:00:00:00:02"})
    assert prober.up() == {LINK: True}
    prober.follow({})
    assert prober.up() == {}
