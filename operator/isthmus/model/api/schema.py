"""CustomResourceDefinitions from the models: pydantic's JSON schema made structural.

Run as `python -m isthmus.model.api.schema DIRECTORY`; a test fails when the files there differ.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from isthmus.model.api.objects import CustomObject
from isthmus.model.names import GROUP, VERSION

from .kinds import KINDS

_DROPPED = frozenset({"title", "$defs", "additionalProperties", "propertyNames"})


def crd_of(kind: type[CustomObject]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind, as apiextensions.k8s.io/v1 takes it."""
    registration = kind.registration
    names = {
        "kind": registration.kind,
        "listKind": f"{registration.kind}List",
        "plural": registration.plural,
        "singular": registration.kind.lower(),
        "shortNames": list(registration.short_names),
        "categories": ["isthmus"],
    }
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object_schema(kind)},
        "additionalPrinterColumns": [_column(c.model_dump()) for c in registration.columns],
    }
    if "status" in kind.model_fields:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{registration.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": names,
            "scope": "Namespaced" if registration.namespaced else "Cluster",
            "versions": [version],
        },
    }


def _column(column: dict[str, Any]) -> dict[str, Any]:
    out = {"name": column["name"], "type": column["type"], "jsonPath": column["path"]}
    return out | ({"priority": column["priority"]} if column["priority"] else {})


def _object_schema(kind: type[CustomObject]) -> dict[str, Any]:
    whole = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = whole.get("$defs", {})
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
    }
    required = []
    for name in ("spec", "status"):
        if name in whole["properties"]:
            properties[name] = _structural(whole["properties"][name], definitions)
            # A status is never required and has no defaults: the server would write them into every new object.
            if name == "status":
                properties[name] = _without_defaults(properties[name])
            elif name in whole.get("required", []):
                required.append(name)
    described = {name: _with_default_described(field) for name, field in properties.items()}
    schema = {"type": "object", "description": kind.registration.description, "properties": described}
    return schema | ({"required": required} if required else {})


def _structural(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve references, turn "X or null" into X, and drop what a structural schema does not know."""
    if "$ref" in schema:
        target = definitions[str(schema["$ref"]).rsplit("/", 1)[-1]]
        siblings = {k: v for k, v in schema.items() if k != "$ref"}
        return _merged(_structural(target, definitions), _structural(siblings, definitions))
    if "anyOf" in schema:
        (only,) = [s for s in schema["anyOf"] if s.get("type") != "null"]
        siblings = {k: v for k, v in schema.items() if k not in {"anyOf", "default"}}
        return _merged(_structural(only, definitions), _structural(siblings, definitions))
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _DROPPED or (key == "default" and value is None):
            continue
        if key == "const":
            out["enum"] = [value]
        elif key == "properties":
            out[key] = {name: _structural(s, definitions) for name, s in value.items()}
        elif key == "items":
            out[key] = _structural(value, definitions)
        elif key == "default":
            out[key] = _without_nulls(value)
        else:
            out[key] = " ".join(value.split()) if key == "description" else value
    if out.get("type") == "integer":
        out["format"] = "int64"
    if "enum" in out:
        out.pop("pattern", None)
    return out


def _without_nulls(default: Any) -> Any:
    """A default as Kubernetes takes it: absent instead of null."""
    if isinstance(default, dict):
        return {k: _without_nulls(v) for k, v in default.items() if v is not None}
    return default


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    rules = base.get("x-kubernetes-validations", []) + over.get("x-kubernetes-validations", [])
    return base | over | ({"x-kubernetes-validations": rules} if rules else {})


def _without_defaults(schema: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "default":
            continue
        if key == "properties":
            out[key] = {name: _without_defaults(s) for name, s in value.items()}
        elif key == "items":
            out[key] = _without_defaults(value)
        else:
            out[key] = value
    return out


def _with_default_described(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`kubectl explain` shows the description of a field, and not its default."""
    out = dict(schema)
    if "properties" in out:
        out["properties"] = {name: _with_default_described(field) for name, field in out["properties"].items()}
    if "items" in out:
        out["items"] = _with_default_described(out["items"])
    text = _default_text(out.get("default"))
    return out | ({"description": f"{out['description']} Defaults to {text}."} if text else {})


def _default_text(default: Any) -> str:
    """A default as the reader writes it; empty for what needs no mention or is described field by field."""
    match default:
        case bool():
            return str(default).lower()
        case int() | str():
            return str(default)
        case list():
            return ", ".join(str(item) for item in default)
        case _:
            return ""


class _PlainDumper(yaml.SafeDumper):
    """Writes equal values out in full: anchors make a definition hard to read."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def render(kind: type[CustomObject]) -> str:
    """The definition as YAML text, ready to apply."""
    return "# Generated from isthmus.model; do not edit. `make generate` writes it.\n" + str(
        yaml.dump(crd_of(kind), Dumper=_PlainDumper, sort_keys=False, width=120)
    )


def main(directory: str) -> None:
    """Write every definition to DIRECTORY/<plural>.yaml."""
    for kind in KINDS:
        Path(directory, f"{kind.registration.plural}.yaml").write_text(render(kind))


if __name__ == "__main__":
    main(sys.argv[1])
