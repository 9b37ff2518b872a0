"""Inventory of a Kubernetes API: what a difference is, and what is none."""

import json
from typing import Any

from tests.testbed.inventory import kubernetes


def section(kind: str, status: dict[str, Any] | None = None, **metadata: str) -> dict[str, Any]:
    """The section of one kind with one object."""
    item = {"kind": kind, "metadata": {"name": "x", **metadata}, "status": status or {"conditions": []}}
    document = {"items": [item]}

    def kubectl(*arguments: str) -> str:
        return "things" if arguments[0] == "api-resources" else json.dumps(document)

    return kubernetes.sections(kubectl)[f"kubernetes {kind}"]


def test_counts_of_writes_are_no_difference() -> None:
    assert section("Attachment", resourceVersion="1") == section("Attachment", resourceVersion="2")
    policies = [section("Policy", {"observedGeneration": n, "typeChecking": {}}, generation=str(n)) for n in (1, 5)]
    assert policies[0] == policies[1]


def test_changed_status_is_a_difference_but_not_time_and_generation_of_a_condition() -> None:
    before, later, changed = (
        {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": time, "observedGeneration": time}]}
        for status, time in (("True", "1"), ("True", "2"), ("False", "1"))
    )
    assert section("Attachment", before) == section("Attachment", later)
    assert section("Attachment", before) != section("Attachment", changed)
    assert section("Attachment", {"linksUp": "1/1"}) != section("Attachment", {"linksUp": "0/1"})


def test_recreated_object_is_a_difference_unless_it_is_a_gateway_node() -> None:
    assert section("Attachment", uid="1") != section("Attachment", uid="2")
    assert section("GatewayNode", uid="1") == section("GatewayNode", uid="2")
    assert section("GatewayNode", uid="1") != section("GatewayNode", uid="1", deletionTimestamp="now")


def test_what_a_path_carries_is_learned_with_the_first_network_and_is_no_difference() -> None:
    before, learned, changed = (
        {"connections": [{"gateway": "gw-b1", "esp": esp, **found}]}
        for esp, found in (("Installed", {}), ("Installed", {"carriedMTU": 1416}), ("Missing", {}))
    )
    assert section("GatewayNode", before) == section("GatewayNode", learned)
    assert section("GatewayNode", before) != section("GatewayNode", changed)
