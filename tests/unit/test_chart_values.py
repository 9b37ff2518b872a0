"""The models of the chart's values, from which values.yaml and its schema are written."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from charts.generate import schema, values
from charts.values import OWN_SETTINGS, SETTINGS, Values
from isthmus.model.settings import AgentSettings, ControllerSettings


def _maps(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if "properties" in node:
            yield path, node
        for name, child in node.get("properties", {}).items():
            yield from _maps(child, f"{path}.{name}")


def test_file_of_values_holds_the_defaults() -> None:
    assert Values.model_validate(yaml.safe_load(values())) == Values()


def test_every_value_has_a_comment() -> None:
    keys = [(before, line) for before, line in pairwise(values().splitlines()) if re.match(r" *\w+:", line)]
    assert keys
    assert [line for before, line in keys if not before.lstrip().startswith("# ")] == []


def test_schema_knows_every_default_and_refuses_other_keys() -> None:
    document = json.loads(schema())
    open_maps = [path for path, node in _maps(document) if node.get("additionalProperties") is not False]
    assert open_maps == []
    assert set(yaml.safe_load(values())) | {"global"} == set(document["properties"])
    assert "$ref" not in schema()


def test_schema_describes_every_value() -> None:
    silent = [
        f"{path}.{name}"
        for path, node in _maps(json.loads(schema()))
        for name, child in node["properties"].items()
        if not child.get("description")
    ]
    assert silent == []


def test_every_setting_is_a_value_or_follows_from_others() -> None:
    settings = set(ControllerSettings.model_fields) | set(AgentSettings.model_fields)
    assert settings == set(SETTINGS) | OWN_SETTINGS
    assert set(SETTINGS) & OWN_SETTINGS == set()


@pytest.mark.parametrize(
    "document", [{"controler": {}}, {"cloud": {"id": "Cloud_A"}}, {"charon": {"updateStrategy": 1}}]
)
def test_models_refuse_what_the_schema_refuses(document: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Values.model_validate(document)
