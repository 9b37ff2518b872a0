"""docs/resources.md, written from the definitions of our kinds.

Run as `python -m isthmus.model.api.document FILE`; a test fails when the file differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from isthmus.model.markdown import item, page, paragraphs, wrapped
from isthmus.model.names import API_VERSION

from .kinds import KINDS
from .objects import CustomObject
from .schema import crd_of

_CONDITIONS: Final = "conditions"
_RULES: Final = "x-kubernetes-validations"
_INTRODUCTION: Final = f"""\
# Custom resources

<!-- Generated from isthmus.model.api; do not edit. `make generate` writes it. -->

All kinds of `{API_VERSION}`. `kubectl explain` has the same texts, and `kubectl get isthmus -A` lists the objects of
all kinds. What conditions and reasons mean is in [conditions.md](conditions.md); what two clouds read of each other is
specified in [protocol.md](protocol.md).

Patterns of strings are left out here: the API server names the one that a value does not match."""


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    for kind in KINDS:
        yield from _kind(kind)


def _kind(kind: type[CustomObject]) -> Iterator[str]:
    definition = crd_of(kind)["spec"]
    schema = definition["versions"][0]["schema"]["openAPIV3Schema"]
    names = [definition["names"]["plural"], *definition["names"]["shortNames"]]
    yield f"## {kind.registration.kind}\n"
    yield wrapped(schema["description"]) + "\n"
    yield wrapped(f"{definition['scope']}; {', '.join(f'`{name}`' for name in names)}.") + "\n"
    for part in ("spec", "status"):
        if part in schema["properties"]:
            yield from _fields(schema["properties"][part], part)
    yield ""


def _fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    """One item for each field below, in the order of the definition."""
    for name, field in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        yield item(f"**`{path}.{name}`** ({_type(field, required)}): {_text(field)}")
        if name == _CONDITIONS:
            continue
        if field.get("type") == "array":
            yield from _fields(field["items"], f"{path}.{name}[]")
        else:
            yield from _fields(field, f"{path}.{name}")


def _type(field: dict[str, Any], required: bool) -> str:
    is_list = field.get("type") == "array"
    value = field["items"] if is_list else field
    words = [f"list of {value['type']}s" if is_list else str(value["type"])]
    if "minimum" in value and "maximum" in value:
        words.append(f"{value['minimum']} to {value['maximum']}")
    if is_list and "maxItems" in field:
        words.append(f"at most {field['maxItems']}")
    return ", ".join([*words, *(["required"] if required else [])])


def _text(field: dict[str, Any]) -> str:
    value = field["items"] if field.get("type") == "array" else field
    choices = value.get("enum", ())
    rules = [rule for part in ([field] if value is field else [field, value]) for rule in part.get(_RULES, ())]
    parts = [
        " ".join(field.get("description", "").split()),
        f"One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else "",
        f"Rules: {'; '.join(rule['message'] for rule in rules)}." if rules else "",
    ]
    return " ".join(filter(None, parts)).replace("<", "&lt;")  # a cloud ID in brackets is no element of HTML


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
