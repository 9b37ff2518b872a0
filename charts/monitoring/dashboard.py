"""What a dashboard consists of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "state-timeline", "table"]
Unit = Literal["short", "bps", "pps", "s", "bytes", "percent", "ops", "reqps", "bool"]
GRID_WIDTH = 24


@dataclass(frozen=True)
class Query:
    """PromQL with Grafana's variables, and the name of each series by its labels, such as `{{peer}}`."""

    expr: str
    legend: str
    in_trouble: bool = False
    """Whether a healthy cloud has no answer to it."""


@dataclass(frozen=True)
class Panel:
    """A panel; the width is in the columns of a grid of 24."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    alerts: tuple[str, ...] = ()
    """Alerts to whose runbooks it links."""


@dataclass(frozen=True)
class Row:
    """A row with a title; its panels are wrapped at the width of the grid."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A variable whose choices are the values of a label."""

    name: str
    label: str
    metric: str
    of_label: str
    has_all: bool = False
    """Whether several values, or all, can be chosen: expressions use it as a regular expression."""


@dataclass(frozen=True)
class Dashboard:
    """A dashboard. Its `uid` never changes, so that links and bookmarks remain valid."""

    uid: str
    title: str
    description: str
    variables: tuple[Variable, ...]
    rows: tuple[Row, ...]

    @property
    def file(self) -> str:
        """Name of its file."""
        return f"{self.uid.removeprefix('isthmus-')}.json"

    def panels(self) -> Iterator[Panel]:
        """All panels in order."""
        for row in self.rows:
            yield from row.panels
