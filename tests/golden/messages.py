"""Templates of messages beside reasons. Run as `python -m tests.golden.messages FILE` (`make generate`)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

OPERATOR = Path(__file__).parents[2] / "operator" / "isthmus"
_WITH_MESSAGE = {"Problem": 0, "Disagreement": 0, "true": 1, "false": 1, "unknown": 1}
"""Calls that take a reason and then a message, and at which position the reason is."""


def render() -> str:
    """One line for each message, `REASON: template`, in alphabetical order; what is computed elsewhere is left out."""
    found = {line for path in sorted(OPERATOR.rglob("*.py")) for line in _messages(ast.parse(path.read_text()))}
    return "".join(f"{line}\n" for line in sorted(found))


def _messages(tree: ast.Module) -> Iterator[str]:
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            texts = dict(_assigned_texts(function))
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                yield from _message(call, texts)


def _message(call: ast.Call, texts: dict[str, str]) -> Iterator[str]:
    position = _WITH_MESSAGE.get(call.func.id) if isinstance(call.func, ast.Name) else None
    if position is None or len(call.args) < position + 2:
        return
    reason, message = call.args[position : position + 2]
    text = texts.get(message.id) if isinstance(message, ast.Name) else _template(message)
    if text is not None and isinstance(reason, ast.Attribute) and ast.unparse(reason.value) == "Reason":
        yield f"{reason.attr}: {text}"


def _assigned_texts(function: ast.FunctionDef) -> Iterator[tuple[str, str]]:
    """Local variables that hold a text."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            text = _template(node.value)
            if text is not None:
                yield node.targets[0].id, text


def _template(node: ast.expr) -> str | None:
    """The text of a literal, with the expressions of an f-string in braces."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(part) for part in node.values)
    return None


def _part(part: ast.expr) -> str:
    if isinstance(part, ast.FormattedValue):
        return "{" + ast.unparse(part.value) + "}"
    return str(part.value) if isinstance(part, ast.Constant) else ""


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
