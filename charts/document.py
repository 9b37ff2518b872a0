"""docs/values.md, written from the models of the chart's values.

Run as `python -m charts.document FILE`; a test fails when the file differs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from charts.values import SETTINGS, Values
from isthmus.model.markdown import item, page, paragraphs, wrapped

_INTRODUCTION: Final = """\
# Values of the chart

<!-- Generated from charts/values.py; do not edit. `make generate` writes it. -->

`helm show values charts/isthmus` prints the same as a file with comments. A key that is not here is refused, and so are
values that contradict each other; Helm prints the sentence, and nothing is changed. [Installation](install.md) has the
few that are required, [images and chart](packaging.md#chart) says why the chart is as it is."""


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    defaults = Values()
    for name, field in Values.model_fields.items():
        yield f"## {field.alias}\n"
        yield wrapped(_description(field)) + "\n"
        if name == "settings":
            listed = ", ".join(f"`{setting}`" for setting in SETTINGS)
            yield (
                wrapped(f"Default {_code(defaults.settings)}. Accepted are {listed} ([settings](reference.md)).") + "\n"
            )
            continue
        yield from _items(getattr(defaults, name), str(field.alias))
        yield ""


def _items(model: BaseModel, path: str) -> Iterator[str]:
    """One item for each value; a map that has values of its own is described by these."""
    for name, field in type(model).model_fields.items():
        value, where = getattr(model, name), f"{path}.{field.alias}"
        if isinstance(value, BaseModel) and value.model_dump(exclude_none=True):
            yield from _items(value, where)
        else:
            choices = _choices(field)
            plain = value.model_dump(exclude_none=True) if isinstance(value, BaseModel) else _plain(value)
            yield item(f"**`{where}`** (default {_code(plain)}): {_description(field)}{choices}")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [item.model_dump(exclude_none=True) if isinstance(item, BaseModel) else item for item in value]
    return value


def _choices(field: FieldInfo) -> str:
    if get_origin(field.annotation) is not Literal:
        return ""
    return f" One of {', '.join(f'`{choice}`' for choice in get_args(field.annotation))}."


def _description(field: FieldInfo) -> str:
    return " ".join((field.description or "").split())


def _code(value: Any) -> str:
    return f"`{json.dumps(value)}`"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
