"""Runs promtool."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from charts.monitoring.alerts import ALERTS
from charts.monitoring.pages import RUNBOOKS, page
from tests.testbed.assets import ensure

from .faults import Firing
from .series import INTERVAL_SECONDS

RULES: Final = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules.yaml"
_BY_NAME: Final = {alert.name: alert for alert in ALERTS}


@functools.cache
def program() -> str:
    """Path of promtool."""
    ensure("monitoring")
    found = shutil.which("promtool")
    assert found, "Debian's package prometheus has it"
    return found


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    return subprocess.run([program(), *arguments], capture_output=True, text=True, timeout=60, check=False)


def failures(directory: Path, series: Mapping[str, str], expected: Mapping[int, Iterable[Firing]]) -> str:
    """What promtool finds wrong, if at each of these minutes exactly these alerts are to fire."""
    checks = [
        {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": [_expected(f) for f in firing if f.alert == name]}
        for minute, firing in ((minute, tuple(firing)) for minute, firing in expected.items())
        for name in _BY_NAME
    ]
    test = {
        "interval": f"{INTERVAL_SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": checks,
    }
    file = directory / "test.yaml"
    document = {"rule_files": [str(RULES)], "evaluation_interval": f"{INTERVAL_SECONDS}s", "tests": [test]}
    file.write_text(yaml.safe_dump(document))
    done = run("test", "rules", file)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _expected(firing: Firing) -> dict[str, Any]:
    alert = _BY_NAME[firing.alert]
    return {
        "exp_labels": {"severity": alert.severity, **firing.labels},
        "exp_annotations": {
            "summary": alert.summary,
            "description": firing.description,
            "runbook_url": f"{RUNBOOKS}/{page(alert.name)}",
        },
    }
