"""Files of the archive, which are cut to a common limit: of objects the first ones are kept, of logs the last lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

MAX_BYTES: Final = 48_000_000
"""Of all files of an archive together, before compression: it has less than 50 MB with what the format adds."""
_HEAD: Final = b'{"apiVersion": "v1", "kind": "List", "items": [\n'
_TAIL: Final = b"\n]}\n"
_SEPARATOR: Final = b",\n"


@dataclass(frozen=True)
class Content:
    """A file in parts that can be left out: lines of a log, objects of a list."""

    name: str
    parts: tuple[bytes, ...]
    is_log: bool = False
    of: int = 0
    """How many parts there were before the file was cut; 0 if all are there."""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        parts = sum(map(len, self.parts))
        return parts if self.is_log else parts + _overhead(len(self.parts))

    @property
    def bytes(self) -> bytes:
        """The file."""
        return b"".join(self.parts) if self.is_log else _HEAD + _SEPARATOR.join(self.parts) + _TAIL

    @property
    def cut(self) -> str:
        """What is missing; empty if nothing is."""
        if not self.of:
            return ""
        return (
            f"the last {len(self.parts)} of {self.of} lines"
            if self.is_log
            else (f"the first {len(self.parts)} of {self.of} objects")
        )


def objects(name: str, items: Iterable[Mapping[str, Any]]) -> Content:
    """A list of objects, in the form of `kubectl get -o json`."""
    return Content(name, tuple(json.dumps(item, ensure_ascii=False).encode("utf-8", "replace") for item in items))


def log(name: str, text: str) -> Content:
    """Lines as they were written."""
    return Content(name, tuple(text.encode("utf-8", "replace").splitlines(keepends=True)), is_log=True)


def limited(content: Content, limit: int) -> Content:
    """The content with as many of its parts as the limit allows, in bytes."""
    if content.size <= limit:
        return content
    kept: list[bytes] = []
    room = limit if content.is_log else limit - _overhead(0)
    for part in reversed(content.parts) if content.is_log else content.parts:
        room -= len(part) if content.is_log else len(part) + len(_SEPARATOR)
        if room < 0:
            break
        kept.append(part)
    parts = tuple(reversed(kept)) if content.is_log else tuple(kept)
    return replace(content, parts=parts, of=content.of or len(content.parts))


def within(contents: Sequence[Content], total: int = MAX_BYTES) -> list[Content]:
    """The contents, of which the largest are cut so that all together have at most so many bytes."""
    limit = _common_limit([content.size for content in contents], total)
    return [limited(content, limit) for content in contents]


def _common_limit(sizes: Sequence[int], total: int) -> int:
    """The largest limit with which the sizes, each cut to it, have at most that sum."""
    room = total
    for number, size in enumerate(sorted(sizes)):
        share = room // (len(sizes) - number)
        if size > share:
            return share
        room -= size
    return total


def _overhead(parts: int) -> int:
    return len(_HEAD) + len(_TAIL) + len(_SEPARATOR) * max(0, parts - 1)
