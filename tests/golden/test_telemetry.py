"""Log lines and metrics are user interface: a change is seen in review, and every metric is documented."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from . import telemetry

REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


@pytest.mark.parametrize(
    ("name", "current"), list(zip(telemetry.FILES, (telemetry.log_lines(), telemetry.metrics()), strict=True))
)
def test_texts_are_as_reviewed(name: str, current: str) -> None:
    golden = Path(__file__).parent / name
    assert golden.read_text() == current, "run `make generate`, and read what changed"


def test_every_logger_has_the_name_that_is_searched_for() -> None:
    loggers = [
        target.id
        for path in telemetry.OPERATOR.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and "getLogger" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert set(loggers) == {"_LOG"}


def test_every_metric_is_in_the_reference() -> None:
    page = REFERENCE.read_text()
    names = [line.partition("{")[0] for line in telemetry.metrics().splitlines()]
    assert [name for name in names if f"`{name}" not in page] == []
