"""Results of the benchmarks, as a table and as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """A measured value and its target; `met` is whether the target was reached."""

    name: str
    value: float
    unit: str
    target: str
    met: bool


def at_most(name: str, value: float, unit: str, limit: float) -> Result:
    """A value that should not exceed a limit."""
    return Result(name, round(value, 3), unit, f"<= {limit:g}", value <= limit)


def at_least(name: str, value: float, unit: str, limit: float) -> Result:
    """A value that should reach a limit."""
    return Result(name, round(value, 3), unit, f">= {limit:g}", value >= limit)


def exactly(name: str, value: float, unit: str, expected: float) -> Result:
    """A value that is computed elsewhere, too."""
    return Result(name, round(value, 3), unit, f"= {expected:g}", value == expected)


def reported(name: str, value: float, unit: str) -> Result:
    """A value without a target."""
    return Result(name, round(value, 3), unit, "-", True)


def table(results: Sequence[Result]) -> str:
    """A table as text; missed targets are repeated at the end."""
    lines = [f"{'name':64} {'value':>10} {'unit':10} {'target':>8}  met"]
    for result in results:
        met = "yes" if result.met else "missed"
        lines.append(f"{result.name:64} {result.value:>10g} {result.unit:10} {result.target:>8}  {met}")
    missed = [result.name for result in results if not result.met]
    lines += [f"targets missed: {'; '.join(missed)}"] if missed else ["all targets met"]
    return "\n".join(lines)


def write(results: Sequence[Result], path: Path) -> None:
    """Write the results as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
