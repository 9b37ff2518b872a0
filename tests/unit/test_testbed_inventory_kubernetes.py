"""Inventory of a Kubernetes API: what a difference is, and what is none."""

import json
from typing import Any

from tests.testbed.inventory import kubernetes


def section(kind: str, **metadata: str) -> dict[str, Any]:
    """The section of one kind with one object."""
    document = {"items": [{"kind": kind, "metadata": {"name": "x", **metadata}, "status": {"conditions": []}}]}

    def kubectl(*arguments: str) -> str:
        return "things" if arguments[0] == "api-resources" else json.dumps(document)

    return kubernetes.sections(kubectl)[f"kubernetes {kind}"]


def test_counts_of_writes_are_no_difference() -> None:
    assert section("Attachment", resourceVersion="1") == section("Attachment", resourceVersion="2")


def test_recreated_object_is_a_difference_unless_it_is_a_gateway_node() -> None:
    assert section("Attachment", uid="1") != section("Attachment", uid="2")
    assert section("GatewayNode", uid="1") == section("GatewayNode", uid="2")
    assert section("GatewayNode", uid="1") != section("GatewayNode", uid="1", deletionTimestamp="now")
