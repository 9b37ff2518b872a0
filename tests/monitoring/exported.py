"""The samples that processes export, and what an expression reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from isthmus.telemetry.metrics import FAMILIES, Metrics

_SUFFIXES: Final = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_OF_PROMETHEUS: Final = frozenset({"instance", "job"})
# Of Prometheus itself.
_ALERTS: Final = ("ALERTS", frozenset({"alertname", "alertstate", "severity"}))


def samples() -> Mapping[str, frozenset[str]]:
    """Names with their labels, those that Prometheus adds included."""
    return {name: labels | _OF_PROMETHEUS for name, labels in (*_exported(), _ALERTS)}


def _exported() -> Iterator[tuple[str, frozenset[str]]]:
    metrics = Metrics()
    found: list[tuple[str, str, tuple[str, ...]]] = [(family.name, family.kind, family.labels) for family in FAMILIES]
    for value in vars(metrics).values():
        found += [(m.name, m.type, value._labelnames) for m in getattr(value, "describe", list)()]
    found += [(m.name, m.type, ()) for m in metrics.process.collect()]
    for name, kind, labels in found:
        for suffix in _SUFFIXES[kind]:
            yield name + suffix, frozenset(labels) | ({"le"} if suffix == "_bucket" else set())


def read_by(expr: str) -> list[tuple[str, set[str]]]:
    """Names of the samples that an expression selects, each with the labels of its selector."""
    return [
        (name, set(re.findall(r"(\w+)\s*[=!]", selector or "")))
        for name, selector in re.findall(r"\b((?:isthmus|process|ALERTS)\w*)(\{[^}]*\})?", expr)
    ]


def labels_of_groups(expr: str) -> set[str]:
    """Labels by which an expression aggregates or joins."""
    lists = re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expr)
    return {label for text in lists for label in re.findall(r"\w+", text)}
