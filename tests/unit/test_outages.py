"""An outage is logged once when it begins and once when it ends, whatever client libraries report meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from isthmus.telemetry.logs import fold_outages, set_up
from isthmus.telemetry.outages import KUBERNETES, OPENSTACK, Outages

CANARY = "canary-2d71"


class Time:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def outages(time: Time) -> Outages:
    return Outages(time)


Logged = Callable[[], list[str]]
Start = Callable[[str], Logged]


@pytest.fixture
def start(outages: Outages, capsys: pytest.CaptureFixture[str]) -> Iterator[Start]:
    """Log to standard output as a process does; the lines since the last call, without the time."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def start(lowest: str) -> Logged:
        set_up(lowest, "text")
        fold_outages(outages)
        return lambda: [line.split(" ", 2)[2] for line in capsys.readouterr().out.splitlines()]

    yield start
    root.handlers[:] = handlers
    root.setLevel(level)


def test_repeated_failures_are_one_line(outages: Outages, time: Time, start: Start) -> None:
    logged = start("INFO")
    outage = outages[KUBERNETES]
    outage.succeeded()
    for _ in range(15):
        outage.failed("connection refused")
        time.seconds += 5
    assert logged() == ["WARNING isthmus.telemetry.outages: Kubernetes API unavailable: connection refused"]
    outage.succeeded()
    outage.succeeded()
    assert logged() == [
        "INFO    isthmus.telemetry.outages: Kubernetes API available again after 75 s (14 messages suppressed)"
    ]


def test_lasting_outage_is_repeated_every_ten_minutes(outages: Outages, time: Time, start: Start) -> None:
    logged = start("INFO")
    outage = outages[KUBERNETES]
    for _ in range(1201):
        outage.failed("connection refused")
        time.seconds += 1
    assert [line.partition(": ")[2] for line in logged()] == [
        "Kubernetes API unavailable: connection refused",
        "Kubernetes API still unavailable after 600 s (600 messages suppressed): connection refused",
        "Kubernetes API still unavailable after 1200 s (1200 messages suppressed): connection refused",
    ]


def test_noise_of_the_client_library_is_part_of_the_outage(outages: Outages, time: Time, start: Start) -> None:
    """kopf wrote 135 lines in 72 s."""
    logged = start("INFO")
    outage, kopf = outages[KUBERNETES], logging.getLogger("kopf._core.engines.watching")
    for second in range(72):
        kopf.error("Request attempt #%d/9 failed; will retry: token=%s\nsecond line", second, CANARY)
        logging.getLogger("isthmus.adapters.kubernetes.kopfoperator").warning("watching: OSError: connection refused")
        if second % 5 == 0:
            outage.failed("connection refused")
        time.seconds += 1
    (begin,) = logged()
    assert begin == (
        "WARNING isthmus.telemetry.outages: Kubernetes API unavailable: "
        "kopf: Request attempt #0/9 failed; will retry: token=[redacted]"
    )
    outage.succeeded()
    time.seconds += 10
    kopf.error("Request attempt #9/9 failed")  # after its own pause
    outage.succeeded()
    assert logged() == []
    time.seconds += 30
    outage.succeeded()
    (end,) = logged()
    assert end.endswith("Kubernetes API available again after 82 s (159 messages suppressed)")


def test_library_that_recovers_is_reported_from_the_first_success(outages: Outages, time: Time, start: Start) -> None:
    logged = start("INFO")
    logging.getLogger("kopf").error("down", exc_info=ValueError("x"))
    time.seconds += 7
    outages[KUBERNETES].succeeded()
    time.seconds += 60
    outages[KUBERNETES].succeeded()
    begin, end = logged()
    assert begin.endswith("Kubernetes API unavailable: kopf: down: ValueError: x")
    assert end.endswith("Kubernetes API available again after 7 s")


def test_warning_of_openstacks_library_is_no_outage_until_a_call_fails(outages: Outages, start: Start) -> None:
    """keystoneauth warns where discovery fails, also if the call then succeeds with the URL as it is."""
    logged = start("INFO")
    keystoneauth, outage = logging.getLogger("keystoneauth.identity"), outages[OPENSTACK]
    keystoneauth.warning("discovery failed")
    outage.succeeded()
    assert [line.partition(": ")[2] for line in logged()] == ["discovery failed"]
    outage.failed("clouds file c.yaml, entry isthmus: connection refused")
    keystoneauth.warning("discovery failed")
    assert [line.partition(": ")[2] for line in logged()] == [
        "OpenStack unavailable: clouds file c.yaml, entry isthmus: connection refused"
    ]


def test_other_messages_are_logged_as_they_come(start: Start) -> None:
    logged = start("INFO")
    logging.getLogger("asyncio").error("a defect")
    logging.getLogger("isthmus.agent.loop").warning("ours")
    logging.getLogger("isthmus.adapters.kubernetes.cluster").warning("one request")
    logging.getLogger("kopfer").error("not kopf")
    assert [line.partition(": ")[2] for line in logged()] == ["a defect", "ours", "one request", "not kopf"]


def test_everything_is_logged_at_debug(start: Start) -> None:
    logged = start("DEBUG")
    for _ in range(3):
        logging.getLogger("kopf").error("down")
    assert len(logged()) == 3
