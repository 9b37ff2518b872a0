"""Writes the generated files of the chart: `python -m charts.generate charts/isthmus`.

A test fails when the files there differ.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from typing import Any, Final

import yaml
from pydantic import BaseModel

from charts.monitoring import grafana, rules
from charts.monitoring.dashboards import DASHBOARDS
from charts.values import Values
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import render
from isthmus.model.names import GROUP

_WIDTH: Final = 100
_NOTE: Final = "Generated; do not edit. `make generate` writes it."
# Helm adds it to the values of every chart that another one depends on.
_GLOBAL: Final = {"description": "Set by Helm; not used.", "type": "object"}
_DRAFT: Final = "http://json-schema.org/draft-07/schema#"


def generated() -> dict[str, str]:
    """Content of every generated file by its path below the chart."""
    definitions = {f"templates/crds/{kind.registration.plural}.yaml": definition(kind) for kind in KINDS}
    dashboards = {f"dashboards/{dashboard.file}": grafana.render(dashboard) for dashboard in DASHBOARDS}
    return {
        "values.yaml": values(),
        "values.schema.json": schema(),
        "templates/prometheusrule.yaml": rules.template(),
        **dashboards,
        **definitions,
    }


def values() -> str:
    """Default values with a comment for each key."""
    heading = f"# {_NOTE}\n# Default values of the chart isthmus; values.schema.json refuses keys that are not here.\n"
    return heading + "\n".join(_section(Values(), "")) + "\n"


def _section(model: BaseModel, indent: str) -> Iterator[str]:
    defaults = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    for name, field in type(model).model_fields.items():
        key, nested = str(field.alias), getattr(model, name)
        if not indent:
            yield ""
        yield from wrap(
            " ".join((field.description or "").split()),
            _WIDTH,
            initial_indent=f"{indent}# ",
            subsequent_indent=f"{indent}# ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        if isinstance(nested, BaseModel) and defaults[key]:
            yield f"{indent}{key}:"
            yield from _section(nested, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_flow(defaults[key])}"


def _flow(value: Any) -> str:
    if isinstance(value, dict) and value:
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list) and value:
        return f"[{', '.join(map(_flow, value))}]"
    plain = isinstance(value, str) and yaml.safe_load(value) == value
    return str(value) if plain else json.dumps(value)


def schema() -> str:
    """JSON schema of the values, in the draft that every Helm reads, without references."""
    whole = Values.model_json_schema(by_alias=True, mode="validation")
    resolved = _resolved(whole, whole["$defs"])
    resolved["properties"]["global"] = _GLOBAL
    document = {"$schema": _DRAFT, "$comment": _NOTE, "title": "Values of the chart isthmus", **resolved}
    return json.dumps(document, indent=2) + "\n"


def _resolved(node: Any, definitions: Mapping[str, Any]) -> Any:
    """Without references, titles of pydantic, defaults, and extensions that JSON schema does not know."""
    if isinstance(node, list):
        return [_resolved(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rsplit("/", 1)[-1]]
        return _resolved({**target, **{key: value for key, value in node.items() if key != "$ref"}}, definitions)
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            out[key] = {name: _resolved(item, definitions) for name, item in value.items()}
        elif key == "description":
            out[key] = " ".join(value.split())
        elif key not in {"title", "default", "$defs"} and not key.startswith("x-"):
            out[key] = _resolved(value, definitions)
    return out


def definition(kind: type[CustomObject]) -> str:
    """The template of one CustomResourceDefinition."""
    text = render(kind)
    if "{{" in text:
        raise ValueError(f"{kind.registration.kind}: Helm would read {{{{ in its definition as a template")
    name = f"  name: {kind.registration.plural}.{GROUP}\n"
    head, found, rest = text.partition(name)
    if not found:
        raise ValueError(f"{kind.registration.kind}: the definition has no line {name!r}")
    kept = '  {{- include "isthmus.definitionMetadata" . | nindent 2 }}\n'
    return f"{{{{- if .Values.crds.enabled }}}}\n{head}{name}{kept}{rest}{{{{- end }}}}\n"


def main(directory: str) -> None:
    """Write every generated file."""
    for path, text in generated().items():
        Path(directory, path).write_text(text)


if __name__ == "__main__":
    main(sys.argv[1])
