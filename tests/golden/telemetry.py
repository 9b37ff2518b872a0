"""Log lines at INFO and above, and metrics. Run as `python -m tests.golden.telemetry DIRECTORY` (`make generate`)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from isthmus.telemetry.metrics import FAMILIES, Metrics

OPERATOR = Path(__file__).parents[2] / "operator"
FILES = ("log_lines.txt", "metrics.txt")
# Calls of a logger's method by the level of the line; `log` takes it as an argument and is listed as such.
_LEVELS = {"info": "INFO", "warning": "WARNING", "error": "ERROR", "exception": "ERROR", "critical": "CRITICAL"}
_NOT_LISTED = frozenset({"debug"})
# Arguments of the log lines `%s` about changes of state.
_STATES = ("isthmus/core/snapshot/transitions.py", "isthmus/core/node/states.py")


def log_lines() -> str:
    """Level, module and template of every logging call, then the texts from which changes of state are formatted."""
    calls = sorted(set(_calls()))
    return "\n".join([*calls, "", "Changes of state:", *sorted(set(_texts_of_states())), ""])


def metrics() -> str:
    """Name, labels and help of every metric."""
    families = [(family.name, family.labels, family.help) for family in FAMILIES]
    process = Metrics()
    for metric in vars(process).values():
        families += [(m.name, metric._labelnames, m.documentation) for m in getattr(metric, "describe", list)()]
    families += [(m.name, (), m.documentation) for m in process.process.collect()]
    return "".join(f"{name}{{{', '.join(labels)}}}: {text}\n" for name, labels, text in sorted(families))


def _calls() -> Iterator[str]:
    for path in sorted(OPERATOR.rglob("*.py")):
        module = ".".join(path.relative_to(OPERATOR).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_logger(node.func.value):
                yield from _line(node, node.func.attr, module)


def _is_logger(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "_LOG"


def _line(call: ast.Call, method: str, module: str) -> Iterator[str]:
    if method in _NOT_LISTED:
        return
    template = call.args[1 if method == "log" else 0]
    # A template that is built at run time hides what users read, and what must be redacted.
    assert isinstance(template, ast.Constant), f"{module}:{call.lineno}: the template is not a constant"
    yield f"{'LOG' if method == 'log' else _LEVELS[method]} {module}: {template.value!s}"


def _texts_of_states() -> Iterator[str]:
    for file in _STATES:
        for node in ast.walk(ast.parse((OPERATOR / file).read_text())):
            if isinstance(node, ast.JoinedStr):
                yield "  " + "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                )


if __name__ == "__main__":
    for name, text in zip(FILES, (log_lines(), metrics()), strict=True):
        (Path(sys.argv[1]) / name).write_text(text)
