"""What an alert consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Literal

Severity = Literal["critical", "warning"]


@dataclass(frozen=True)
class Alert:
    """An alerting rule of Prometheus.

    Critical ones mean that traffic does not pass, or that nobody takes care of it any more. All alerts assume one
    Prometheus for each cloud.
    """

    name: str
    expr: str
    """PromQL, in which `$field` stands for a field of Thresholds."""
    pending_minutes: int
    """For how long the expression must hold (`for`)."""
    severity: Severity
    summary: str
    """One sentence without labels, the same for all alerts of that name."""
    description: str
    """Text in the template language of Prometheus."""

    def expression(self, thresholds: Mapping[str, object]) -> str:
        """The expression with these thresholds, by the names of the fields. Raises KeyError if one is missing."""
        return Template(self.expr).substitute({name: str(value) for name, value in thresholds.items()})
