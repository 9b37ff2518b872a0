"""Bodies of server-side apply requests."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from isthmus.ports import Manifest

_ESCAPED: Final = re.compile(r"[^\x20-\x7e]")
_STEP: Final = re.compile(r"(\w+)|\[(\d+)\]")
_Steps = tuple[str | int, ...]


def apply_patch(manifest: Manifest) -> bytes:
    """The manifest as the API server reads it: as YAML, also if it looks like JSON.

    YAML rejects or folds some characters that JSON allows in a string, and knows no surrogate pairs: whatever is not
    ASCII is written as `\\u0085` or `\\U0001F600`.
    """
    return _ESCAPED.sub(_escaped, json.dumps(manifest, ensure_ascii=False)).encode()


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def without_fields(manifest: Manifest, paths: Iterable[str]) -> Manifest:
    """A copy without these fields of its status; of a list, without the elements that they are in."""
    rejected = {_rejected_with(path) for path in paths}
    return {name: _rebuilt(value, (name,), rejected) for name, value in manifest.items()}


def _rejected_with(path: str) -> _Steps:
    """The path, up to the innermost list element or to the field of the status that it is in."""
    steps: _Steps = tuple(name or int(index) for name, index in _STEP.findall(path))
    if steps[:1] != ("status",) or len(steps) == 1:
        return ()
    return steps[: max((n for n, step in enumerate(steps) if isinstance(step, int)), default=1) + 1]


def _rebuilt(value: Any, at: _Steps, rejected: set[_Steps]) -> Any:
    if isinstance(value, dict):
        return {k: _rebuilt(v, (*at, k), rejected) for k, v in value.items() if (*at, k) not in rejected}
    if isinstance(value, list):
        return [_rebuilt(v, (*at, n), rejected) for n, v in enumerate(value) if (*at, n) not in rejected]
    return value
