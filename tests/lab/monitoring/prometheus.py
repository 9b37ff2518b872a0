"""A Prometheus for one cloud of a lab, with the rules as they are delivered, but for time."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from charts.monitoring.alerts import ALERTS
from charts.monitoring.thresholds import Thresholds
from tests.testbed.host import process

SCRAPE_SECONDS: Final = 1
RATE_INTERVAL: Final = "30s"
# Those of loops stay: a worker of the controller waits up to 60 s for work.
_THRESHOLDS: Final = Thresholds(peer_read_seconds=30)

Labels = Mapping[str, str]


def rules() -> dict[str, Any]:
    """All alerts. What must hold for minutes must hold for as many seconds here."""
    thresholds = _THRESHOLDS.model_dump()
    found = [
        {
            "alert": alert.name,
            "expr": alert.expression(thresholds),
            "for": f"{alert.pending_minutes}s",
            "labels": {"severity": alert.severity},
        }
        for alert in ALERTS
    ]
    return {"groups": [{"name": "isthmus", "rules": found}]}


class Prometheus:
    """A running Prometheus in the namespace of the caller."""

    def __init__(self, name: str, directory: Path, port: int) -> None:
        self._name, self._directory, self._address = f"prometheus-{name}", directory, f"127.0.0.1:{port}"

    def start(self, targets: Sequence[str]) -> None:
        """Start scraping these targets, `address:port`."""
        program = shutil.which("prometheus")
        assert program, "`make test-long` installs it"
        home = self._directory / self._name
        home.mkdir()
        (home / "rules.yaml").write_text(yaml.safe_dump(rules()))
        config = {
            "global": {"scrape_interval": f"{SCRAPE_SECONDS}s", "evaluation_interval": f"{SCRAPE_SECONDS}s"},
            "rule_files": ["rules.yaml"],
            "scrape_configs": [{"job_name": "isthmus", "static_configs": [{"targets": list(targets)}]}],
        }
        (home / "prometheus.yaml").write_text(yaml.safe_dump(config))
        options = {
            "config.file": home / "prometheus.yaml",
            "storage.tsdb.path": home / "data",
            "web.listen-address": self._address,
        }
        argv = [program, *(f"--{option}={value}" for option, value in options.items())]
        process.spawn(argv, name=self._name, directory=self._directory)

    def stop(self) -> None:
        """End it."""
        process.stop(self._directory, self._name)

    def down(self) -> list[str]:
        """Errors of targets that are not scraped; of each target, as long as there was no scrape."""
        found = self._get("targets")["activeTargets"]
        return [f"{target['scrapeUrl']}: {target['lastError']}" for target in found if target["health"] != "up"]

    def query(self, expr: str) -> list[Labels]:
        """The labels of all series of the answer."""
        return [series["metric"] for series in self._get("query", query=expr)["result"]]

    def alerts(self, state: str) -> set[str]:
        """Names of the alerts in that state, `pending` or `firing`."""
        return {alert["labels"]["alertname"] for alert in self._get("alerts")["alerts"] if alert["state"] == state}

    def _get(self, path: str, **parameters: str) -> Any:
        with urlopen(f"http://{self._address}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as reply:
            return json.load(reply)["data"]
