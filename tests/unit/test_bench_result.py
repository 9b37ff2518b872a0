"""Results of the benchmarks: bounds, text and JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.result import Result, at_least, at_most, exactly, reported, table, write

GOOD = [at_most("start", 1.2, "s", 1.5), reported("lowest", 0.9, "ratio")]
BAD = [at_least("throughput", 0.9, "ratio", 0.95), at_most("writes", 1, "writes", 0)]


@pytest.mark.parametrize(
    ("result", "met"),
    [
        (at_most("x", 2.5, "s", 2.5), True),
        (at_most("x", 2.5004, "s", 2.5), False),
        (at_most("x", 0, "writes", 0), True),
        (at_most("x", 1, "writes", 0), False),
        (at_least("x", 0.95, "ratio", 0.95), True),
        (at_least("x", 0.9499, "ratio", 0.95), False),
        (exactly("x", 1416, "bytes", 1416), True),
        (exactly("x", 1416.0004, "bytes", 1416), False),
        (reported("x", 1e9, "s"), True),
    ],
)
def test_bound_is_checked_against_the_unrounded_value(result: Result, met: bool) -> None:
    assert result.met is met


def test_value_is_printed_with_three_decimals_and_its_bound() -> None:
    assert at_most("x", 1.23456, "s", 1.5) == Result("x", 1.235, "s", "<= 1.5", True)
    assert at_least("x", 1.23456, "s", 1.5) == Result("x", 1.235, "s", ">= 1.5", False)
    assert reported("x", 1.23456, "s") == Result("x", 1.235, "s", "-", True)


def test_missed_bound_is_printed_in_its_line_and_at_the_end() -> None:
    _, start, lowest, throughput, writes, end = table(GOOD + BAD).splitlines()
    assert [line.split()[-1] for line in (start, lowest, throughput, writes)] == ["yes", "yes", "missed", "missed"]
    assert end == "targets missed: throughput; writes"


def test_summary_if_no_bound_is_missed() -> None:
    assert "missed" not in table(GOOD)
    assert table(GOOD).splitlines()[-1] == "all targets met"


def test_json_contains_the_same_values(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    write(GOOD + BAD, path)
    assert [Result(**entry) for entry in json.loads(path.read_text())] == GOOD + BAD
