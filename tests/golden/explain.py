"""All field descriptions as `kubectl explain` prints them: `python -m tests.golden.explain FILE` (`make generate`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import crd_of

_EVERYWHERE = frozenset({"apiVersion", "kind", "metadata"})  # Kubernetes explains these itself


def fields(kind: type[CustomObject]) -> Iterator[tuple[str, str]]:
    """Path and description of every field, in the order of the definition."""
    schema = crd_of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for name in schema["properties"].keys() - _EVERYWHERE:
        assert name in ("spec", "status")
    for name in ("spec", "status"):
        if name in schema["properties"]:
            yield from _below(schema["properties"][name], name)


def render() -> str:
    """All kinds."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    for kind in KINDS:
        schema = crd_of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        yield f"{kind.registration.kind}: {schema['description']}"
        for path, description in fields(kind):
            yield f"  {path}: {description}"
        yield ""


def _below(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    yield path, schema.get("description", "")
    items = schema.get("items", {})
    for name, field in schema.get("properties", {}).items():
        yield from _below(field, f"{path}.{name}")
    for name, field in items.get("properties", {}).items():
        yield from _below(field, f"{path}[].{name}")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
