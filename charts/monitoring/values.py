"""Values of the alerting rules and dashboards."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from charts.kubernetes import ChartModel, Labels

from .alerts import ALERTS
from .thresholds import Thresholds

AlertName = Annotated[str, StringConstraints(pattern=f"^({'|'.join(alert.name for alert in ALERTS)})$")]
Runbooks = Annotated[str, StringConstraints(pattern=r"^[-._~:/?#@!$&*+,;=%a-zA-Z0-9]*[-._~a-zA-Z0-9]$")]


class Rules(ChartModel):
    """Alerting rules, as a PrometheusRule of the Prometheus Operator."""

    enabled: bool = False
    """Whether to create it. The cluster must have the definitions of the Prometheus Operator, and Prometheus must
    scrape the controller and all agents of this cloud, and no others."""
    labels: Labels = Field(default_factory=dict)
    """Labels by which the Prometheus selects it."""
    alert_labels: Labels = Field(default_factory=dict)
    """Further labels of every alert, besides severity."""
    disabled: tuple[AlertName, ...] = ()
    """Names of alerts to leave out."""
    thresholds: Thresholds = Thresholds()
    """When alerts fire."""


class Dashboards(ChartModel):
    """Dashboards for Grafana, in ConfigMaps."""

    enabled: bool = False
    """Whether to create them."""
    labels: Labels = {"grafana_dashboard": "1"}  # noqa: RUF012  pydantic copies it
    """Labels by which Grafana's sidecar finds them."""
