"""Every string, list and map of an object is bounded, so that nobody can fill etcd and CEL costs can be estimated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import crd_of
from tests.contract.samples import samples

Schema = dict[str, Any]
# The keyword that bounds each type. An enum bounds any type; numbers and booleans need no bound.
BOUNDS = {"string": "maxLength", "array": "maxItems", "integer": None, "boolean": None}
# Kubernetes' own fields, which the API server validates: a definition cannot constrain them.
KUBERNETES_OWN = ("apiVersion", "kind", "metadata")


def unbounded(schema: Schema, path: str = "") -> Iterator[str]:
    """Paths of a schema that accept values of any size or type, or unknown fields."""
    kind = schema.get("type")
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("x-kubernetes-int-or-string"):
        yield f"{path}: unknown fields"
    if kind == "object":
        yield from _in_object(schema, path)
    elif kind not in BOUNDS:
        yield f"{path}: type {kind}"
    elif "enum" not in schema and not (BOUNDS[kind] is None or BOUNDS[kind] in schema):
        yield f"{path}: no {BOUNDS[kind]}"
    if kind == "string" and "format" in schema:
        yield f"{path}: an API server stores a list for a string with a format"
    if kind == "array":
        yield from unbounded(schema["items"], f"{path}[]")


def _in_object(schema: Schema, path: str) -> Iterator[str]:
    fields, values = schema.get("properties", {}), schema.get("additionalProperties")
    if values is None and not fields:
        yield f"{path}: no properties"
    if values is not None:
        yield from unbounded(values, f"{path}.*") if isinstance(values, dict) else [f"{path}: any properties"]
        if "maxProperties" not in schema:
            yield f"{path}: no maxProperties"
    for name, field in fields.items():
        yield from unbounded(field, f"{path}.{name}")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.registration.plural)
def test_every_field_is_bounded(kind: type[CustomObject]) -> None:
    versions = crd_of(kind)["spec"]["versions"]
    for version in versions:
        schema = version["schema"]["openAPIV3Schema"]
        ours = {name: field for name, field in schema["properties"].items() if name not in KUBERNETES_OWN}
        assert ours
        assert list(unbounded(schema | {"properties": ours})) == []


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"type": "string"}, ".x: no maxLength"),
        ({"type": "string", "pattern": "^a+$"}, ".x: no maxLength"),
        ({"type": "string", "format": "date-time"}, ".x: no maxLength"),
        (
            {"type": "string", "format": "date-time", "maxLength": 32},
            ".x: an API server stores a list for a string with a format",
        ),
        ({"type": "array", "items": {"type": "boolean"}}, ".x: no maxItems"),
        ({"type": "array", "maxItems": 2, "items": {"type": "string"}}, ".x[]: no maxLength"),
        ({"type": "object"}, ".x: no properties"),
        ({"type": "object", "additionalProperties": True, "maxProperties": 1}, ".x: any properties"),
        ({"type": "object", "additionalProperties": {"type": "boolean"}}, ".x: no maxProperties"),
        ({"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": 1}, ".x.*: no maxLength"),
        ({"type": "object", "properties": {"y": {"type": "string"}}}, ".x.y: no maxLength"),
        ({"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True}, ".x: unknown fields"),
        ({"description": "of no type"}, ".x: type None"),
    ],
)
def test_unbounded_field_is_found(field: Schema, expected: str) -> None:
    assert expected in list(unbounded({"type": "object", "properties": {"x": field}}))


def test_every_kind_has_a_sample() -> None:
    """The cluster tier compares each definition with its model by documents around it."""
    assert sorted(document["kind"] for document in samples()) == sorted(kind.registration.kind for kind in KINDS)
