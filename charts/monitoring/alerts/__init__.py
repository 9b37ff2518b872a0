"""All alerts."""

from __future__ import annotations

from typing import Final

from charts.monitoring.alert import Alert

from . import gateways, networks, peers, processes

ALERTS: Final[tuple[Alert, ...]] = (*processes.ALERTS, *gateways.ALERTS, *peers.ALERTS, *networks.ALERTS)
