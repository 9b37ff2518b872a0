"""Each alert fires for its fault, with nothing else, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest

from charts.monitoring.alerts import ALERTS

from . import promtool
from .faults import FAULTS, Fault
from .series import FAULT_MINUTES, healthy


def test_rules_are_valid() -> None:
    done = promtool.run("check", "rules", promtool.RULES)
    assert done.returncode == 0, done.stderr


def test_nothing_fires_in_a_healthy_cloud(tmp_path: Path) -> None:
    assert promtool.failures(tmp_path, healthy(), dict.fromkeys((0, 20, 90, 180), ())) == ""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_exactly_the_expected_alerts_fire(fault: Fault, tmp_path: Path) -> None:
    expected = {FAULT_MINUTES + fault.quiet_minutes: (), FAULT_MINUTES + fault.firing_minutes: fault.fires}
    assert promtool.failures(tmp_path, healthy() | dict(fault.series), expected) == ""


def test_every_alert_fires_for_a_fault() -> None:
    assert {firing.alert for fault in FAULTS for firing in fault.fires} == {alert.name for alert in ALERTS}
