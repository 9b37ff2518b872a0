"""Values inside the JSON documents of kubectl.

A document may be of another release, and names and messages in it may be another cloud's: whatever is missing or has
another type reads as empty, and text is made printable.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from isthmus.model.text import printable

Document = Mapping[str, Any]


def text(document: Document, *path: str) -> str:
    """The string at that path as one printable line; empty if there is none."""
    value = _value(document, path)
    return printable(value) if isinstance(value, str) else ""


def number(document: Document, *path: str) -> int | None:
    """The whole number at that path."""
    value = _value(document, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def numbers(document: Document, *path: str) -> tuple[int, ...]:
    """The whole numbers of the list at that path."""
    value = _value(document, path)
    items = value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, int) and not isinstance(item, bool))


def texts(document: Document, *path: str) -> tuple[str, ...]:
    """The strings of the list at that path, each as one printable line."""
    value = _value(document, path)
    items = value if isinstance(value, list) else []
    return tuple(printable(item) for item in items if isinstance(item, str))


def is_true(document: Document, *path: str) -> bool:
    """Whether `true` is at that path."""
    return _value(document, path) is True


def truth(document: Document, *path: str) -> bool | None:
    """The boolean at that path; None if there is none."""
    value = _value(document, path)
    return value if isinstance(value, bool) else None


def age_seconds(now: datetime | None, document: Document, *path: str) -> int | None:
    """Whole seconds since the time at that path; None if there is none, or the time of now is not given."""
    try:
        moment = datetime.fromisoformat(text(document, *path))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0, int((now - moment).total_seconds())) if now is not None else None


def entries(document: Document, *path: str) -> list[Document]:
    """The objects of the list at that path."""
    value = _value(document, path)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _value(document: Document, path: tuple[str, ...]) -> object:
    value: object = document
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
