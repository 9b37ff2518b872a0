"""The metrics that Prometheus reads."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from prometheus_client import generate_latest

from isthmus.model.errors import Unavailable
from isthmus.model.node.host import ProbeResult
from isthmus.model.protocol import PROTOCOL_VERSIONS
from isthmus.telemetry.counted import counted
from isthmus.telemetry.metrics import FAMILIES, LINK_RTT, LINKS, Labels, Metrics


class Port:
    """A port with a query and an effect."""

    def view(self) -> ProbeResult:
        return ProbeResult(1, 1, None)

    def apply(self, broken: bool) -> str:
        if broken:
            raise Unavailable("gone")
        return "applied"


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_calls_and_writes_are_counted() -> None:
    metrics = Metrics()
    port = counted(Port(), "switch", metrics)
    assert port.view() == ProbeResult(1, 1, None)
    assert port.apply(broken=False) == "applied"
    with pytest.raises(Unavailable):
        port.apply(broken=True)
    assert _value(metrics, "isthmus_api_calls_total", backend="switch", method="view") == 1
    assert _value(metrics, "isthmus_api_calls_total", backend="switch", method="apply") == 2
    assert _value(metrics, "isthmus_writes_total", backend="switch") == 1


def test_latest_values_are_exposed() -> None:
    metrics = Metrics()
    metrics.set(LINKS, {("up",): 2, ("down",): 1})
    metrics.set(LINKS, {("up",): 3})
    metrics.set(LINK_RTT, {("cloud-a.net", "cloud-b"): 0.002})
    text = generate_latest(metrics.registry).decode()
    assert 'isthmus_links{state="up"} 3.0' in text
    assert "down" not in text
    assert 'isthmus_link_rtt_seconds{network="cloud-a.net",peer="cloud-b"} 0.002' in text


def test_reconciliations_are_counted_and_timed_even_if_they_fail() -> None:
    metrics = Metrics()
    with pytest.raises(Unavailable), metrics.reconciling("node"):
        raise Unavailable("gone")
    assert _value(metrics, "isthmus_reconciles_total", loop="node") == 1
    assert _value(metrics, "isthmus_reconcile_duration_seconds_count", loop="node") == 1


def test_each_family_is_exposed_once() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_values_that_are_asked_for_when_they_are_read() -> None:
    metrics = Metrics()
    found: dict[Labels, float] = {("up",): 1}
    metrics.follow(LINKS, lambda: found)
    assert _value(metrics, "isthmus_links", state="up") == 1
    found[("up",)] = 2
    assert _value(metrics, "isthmus_links", state="up") == 2


def test_build_info() -> None:
    labels = {"version": version("isthmus"), "protocol_versions": ",".join(map(str, PROTOCOL_VERSIONS))}
    assert _value(Metrics(), "isthmus_build_info", **labels) == 1


def test_every_call_that_has_ended_is_notified() -> None:
    ended: list[int] = []
    port = counted(Port(), "switch", Metrics(), lambda: ended.append(1))
    port.view()
    with pytest.raises(Unavailable):
        port.apply(broken=True)
    assert ended == [1, 1]
