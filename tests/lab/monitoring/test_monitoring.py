"""A Prometheus in each cloud: every panel has an answer, alerts fire for their faults, and none without a fault."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from charts.monitoring.dashboard import Query
from charts.monitoring.dashboards import DASHBOARDS
from tests.testbed.host.process import wait_until
from tests.testbed.install import agent
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import CONTROLLER_METRICS_PORT, Installation
from tests.testbed.workload.tenant import Stretch, reachable_stretch

from .faults import FAULTS, Fault
from .prometheus import RATE_INTERVAL, Labels, Prometheus

pytestmark = pytest.mark.long

_PORTS = {"a": 9095, "b": 9096}
_STEADY_SECONDS = 10.0
_QUERIES = [query for dashboard in DASHBOARDS for panel in dashboard.panels() for query in panel.queries]
Record = Callable[[str, object], None]


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    with reachable_stretch(peers, "monitored", "10.89.0.0/24") as found:
        yield found


@pytest.fixture(scope="module")
def monitors(stretch: Stretch) -> Iterator[dict[str, Prometheus]]:
    """One for each cloud; every process is scraped."""
    peers = stretch.federation
    found = {name: Prometheus(name, peers.lab.directory, port) for name, port in _PORTS.items()}
    with ExitStack() as started:
        for side in peers.both:
            monitor = found[side.cloud.name]
            monitor.start(_targets(side))
            started.callback(monitor.stop)
        for monitor in found.values():
            wait_until(lambda: _is_scraping(monitor), 60, "every process to be scraped", poll_seconds=1)  # noqa: B023
        yield found


def _targets(side: Installation) -> list[str]:
    site = side.cloud.site
    return [
        f"{site.server_address.ip}:{CONTROLLER_METRICS_PORT}",
        f"{site.gateway_address.ip}:{agent.METRICS_PORT}",
    ]


def _is_scraping(monitor: Prometheus) -> bool:
    try:
        return not monitor.down()
    except OSError:  # it does not listen yet
        return False


@pytest.mark.parametrize("cloud", ["a", "b"])
def test_every_panel_has_an_answer(
    monitors: dict[str, Prometheus], peers: Federation, stretch: Stretch, cloud: str
) -> None:
    network = peers.link_name(stretch.tenant.network_id)
    wanted = {_filled(query.expr, network): query for query in _QUERIES if not query.in_trouble}
    answers: dict[str, list[Labels]] = {}

    def missing() -> list[str]:
        answers.update({expr: found for expr in wanted if (found := monitors[cloud].query(expr))})
        return [expr for expr in wanted if expr not in answers]

    try:
        wait_until(lambda: not missing(), 60, "an answer to every query", poll_seconds=1)
    except TimeoutError as error:
        raise AssertionError("no answer to:\n" + "\n".join(missing())) from error
    assert [expr for expr, query in wanted.items() if not _is_named(query, answers[expr])] == []


def _filled(expr: str, network: str) -> str:
    values = {"$__rate_interval": RATE_INTERVAL, "$network": network, "$peer": ".*", "$instance": ".*"}
    for variable, value in values.items():
        expr = expr.replace(variable, value)
    return expr


def _is_named(query: Query, answer: list[Labels]) -> bool:
    """Whether every series has the labels of which its name consists, and no two have the same name."""
    labels = re.findall(r"{{(\w+)}}", query.legend)
    names = [tuple(series.get(label) for label in labels) for series in answer]
    return None not in {value for name in names for value in name} and len(set(names)) == len(names)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_alerts_fire_for_a_fault_and_end_with_it(
    monitors: dict[str, Prometheus], peers: Federation, fault: Fault, record_property: Record
) -> None:
    _expect(monitors, frozenset(), frozenset(), 180)
    began = time.monotonic()
    fault.inject(peers)
    try:
        _expect(monitors, fault.at_a, fault.at_b, 120)
    finally:
        fault.heal(peers)
    fired = time.monotonic() - began - _STEADY_SECONDS
    _expect(monitors, frozenset(), frozenset(), 180)
    record_property(fault.name, f"alerts fired after {fired:.0f} s")


def _expect(monitors: dict[str, Prometheus], at_a: frozenset[str], at_b: frozenset[str], seconds: float) -> None:
    """Wait until exactly these alerts fire for some time; where none is expected, none may be pending either."""
    wanted = {"a": at_a, "b": at_b}
    ends_at, since = time.monotonic() + seconds, time.monotonic()
    while time.monotonic() - since < _STEADY_SECONDS:
        found = {cloud: _active(monitor, pending=not wanted[cloud]) for cloud, monitor in monitors.items()}
        if found != wanted:
            since = time.monotonic()
            assert since < ends_at, f"expected {wanted}, found {found}"
        time.sleep(1)


def _active(monitor: Prometheus, *, pending: bool) -> set[str]:
    return monitor.alerts("firing") | (monitor.alerts("pending") if pending else set())
