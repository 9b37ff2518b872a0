"""What a fault is, and what an alert that fires."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

IN: Final = {"job": "isthmus"}


@dataclass(frozen=True)
class Firing:
    """An alert that fires, with its labels besides severity, and its text."""

    alert: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A fault. In minutes after its begin: when nothing fires yet, and when exactly these alerts fire."""

    name: str
    series: Mapping[str, str]
    """Series that differ from those of a healthy cloud."""
    quiet_minutes: int
    firing_minutes: int
    fires: tuple[Firing, ...]
