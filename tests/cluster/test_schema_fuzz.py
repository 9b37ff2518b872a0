"""What our definitions let an API server store our models parse, and what they write it takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pydantic import ValidationError

from isthmus.adapters.kubernetes.client import Client
from isthmus.adapters.kubernetes.resources import custom
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.schema import crd_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import Invalid
from tests.cluster.documents import documents
from tests.contract.samples import samples
from tests.testbed.kubernetes.cluster import ControlPlane

Document = dict[str, Any]
_JSON: Final = "application/json"
_SETTINGS: Final = settings(
    max_examples=200 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_DRY: Final = {"dryRun": "All"}


@cache
def _schema(kind: type[CustomObject], part: str) -> Document:
    schema: Document = crd_of(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].get(part, {})
    return schema


PARTS = [
    pytest.param(kind, part, id=f"{kind.registration.kind}.{part}")
    for kind in KINDS
    for part in ("spec", "status")
    if _schema(kind, part)
]


@pytest.fixture(scope="module")
def client(installed: ControlPlane) -> Client:
    return Client(str(installed.kubeconfig), "fuzz", 10.0, 500)


@pytest.mark.parametrize(("kind", "part"), PARTS)
def test_definitions_and_models_agree(client: Client, kind: type[CustomObject], part: str) -> None:
    send = _sender(client, kind, part)

    @_SETTINGS
    @given(documents(_schema(kind, part)))
    def agree(content: Any) -> None:
        _, stored = _answer(send, content)
        parsed = kind.from_wire(stored) if stored else _parsed(kind, part, content)
        if parsed is None:
            return
        refusal, again = _answer(send, _content(parsed, part))
        if again is not None:
            returned = kind.from_wire(again)
            assert returned == parsed.model_copy(update={"metadata": returned.metadata})
        else:
            assert stored is None, f"rejects what our model makes of what it has stored: {refusal}"
            assert _refused_by_rule(kind, part, refusal), f"rejects what our model accepts: {refusal}"

    agree()


@pytest.mark.parametrize(
    "time", [[], 0, "", "now", "2026-11-26", "2026-11-26T10:00:00", "0000-01-01T00:00:00Z", "2026-02-30T00:00:00Z"]
)
def test_time_that_our_model_rejects_is_not_stored(client: Client, time: Any) -> None:
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}
    content = {"conditions": [condition | {"lastTransitionTime": time}]}
    assert _parsed(GatewayNode, "status", content) is None
    refusal, stored = _answer(_sender(client, GatewayNode, "status"), content)
    assert stored is None
    assert "lastTransitionTime" in refusal


def _sender(client: Client, kind: type[CustomObject], part: str) -> Callable[[Any], Document]:
    """Sends one part of an object without storing it; returns what would be stored. Raises Invalid."""
    base = _sample(kind)
    resource = custom(kind)
    namespace = base["metadata"].get("namespace")
    if part == "spec":
        collection = resource.path(namespace)
        return lambda content: client._request("POST", collection, _DRY, base | {"spec": content}, _JSON)
    name = base["metadata"]["name"]
    existing = client.apply(resource.path(namespace, name), base)
    status = resource.path(namespace, name, "status")
    return lambda content: client._request("PUT", status, _DRY, existing | {"status": content}, _JSON)


def _sample(kind: type[CustomObject]) -> Document:
    """A valid manifest in a namespace that exists."""
    manifest = next(document for document in samples() if document["kind"] == kind.registration.kind)
    manifest["metadata"]["name"] = "fuzz"
    if kind.registration.namespaced:
        manifest["metadata"]["namespace"] = "default"
    return manifest


def _answer(send: Callable[[Any], Document], content: Any) -> tuple[str, Document | None]:
    """What the server would store; or why it rejects that."""
    try:
        return "", send(content)
    except Invalid as error:
        return str(error), None


def _parsed(kind: type[CustomObject], part: str, content: Any) -> CustomObject | None:
    """What our model makes of one part; None if it rejects that."""
    try:
        return kind.from_wire(_sample(kind) | {part: content})
    except ValidationError:
        return None


def _content(obj: CustomObject, part: str) -> Any:
    """None if the object has no such part, which may be optional."""
    return obj.to_wire().get(part)


def _rules(schema: Any) -> Iterator[str]:
    """Messages of all rules that only the server checks."""
    if isinstance(schema, dict):
        yield from (rule["message"] for rule in schema.get("x-kubernetes-validations", ()))
        schema = list(schema.values())
    if isinstance(schema, list):
        for inner in schema:
            yield from _rules(inner)


def _refused_by_rule(kind: type[CustomObject], part: str, message: str) -> bool:
    rules = (*_rules(_schema(kind, part)), "Duplicate value")
    return any(rule in message for rule in rules)
