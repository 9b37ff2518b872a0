"""`isthmus check-unused` and `isthmus check-installation`, which the chart runs in pods."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from isthmus.cli import checks
from isthmus.model import names
from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import NotFound, Unavailable

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": ""}
HEALTHY: dict[str, list[dict[str, Any]]] = {
    POLICY: [{"metadata": {"name": name}} for name in names.ADMISSION_POLICIES],
    BINDING: [{"spec": {"policyName": name, "validationActions": ["Deny"]}} for name in names.ADMISSION_POLICIES],
    "Node": [{"metadata": {"name": "gw-a1", "labels": {names.GATEWAY_LABEL: "true"}}}, {"metadata": {"name": "cp-a"}}],
    "GatewayNode": [{"metadata": {"name": "gw-a1"}, "status": {"conditions": [READY]}}],
}


class _Objects:
    """An API server with these objects, whose controller renews its Lease every few seconds."""

    def __init__(
        self,
        objects: dict[str, list[dict[str, Any]]],
        *unknown: str,
        renewed_every: int = 3,
        versions: dict[str, list[str]] | None = None,
    ) -> None:
        self._objects = deepcopy(objects)
        self._versions = versions or {}
        self._unknown = unknown
        self.seconds = 0
        self._renewed_every = renewed_every

    def sleep(self, seconds: float) -> None:
        self.seconds += int(seconds)

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
        if kind in self._unknown:
            raise NotFound("404 page not found")
        return self._objects.get(kind, [])

    def other_versions(self, kind: type[CustomObject]) -> list[str]:
        return self._versions.get(kind.registration.kind, [])

    def get_manifest(
        self, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> dict[str, Any] | None:
        assert (kind, name, namespace) == ("Lease", "isthmus-controller", "isthmus-system")
        return {"metadata": {"resourceVersion": str(self.seconds // self._renewed_every)}}


def _problems(objects: dict[str, list[dict[str, Any]]], *unknown: str, renewed_every: int = 3) -> list[str]:
    server = _Objects(objects, *unknown, renewed_every=renewed_every)
    return checks.installation(server, server.sleep)


def test_nothing_is_left_in_an_empty_cluster() -> None:
    assert checks.unused(_Objects({})) == []


def test_nothing_is_left_where_the_definitions_are_gone() -> None:
    assert checks.unused(_Objects({}, "CloudPeer", "NetworkExpansion", "Attachment")) == []


def test_kinds_that_are_served_in_other_versions_alone_may_be_in_use() -> None:
    versions = {"CloudPeer": ["v1", "v1beta1"], "Attachment": ["v1"]}
    server = _Objects({}, "CloudPeer", "NetworkExpansion", "Attachment", versions=versions)
    (sentence,) = checks.unused(server)
    assert sentence.startswith("Isthmus may be in use: the API server has CloudPeer as v1, v1beta1; Attachment as v1,")


def test_what_can_be_read_is_named_beside_what_cannot() -> None:
    left = {"NetworkExpansion": [{"metadata": {"name": "web", "namespace": "shop"}}]}
    in_use, undecided = checks.unused(_Objects(left, "CloudPeer", versions={"CloudPeer": ["v1"]}))
    assert in_use.startswith("Isthmus is in use: NetworkExpansion shop/web.")
    assert undecided.startswith("Isthmus may be in use: the API server has CloudPeer as v1,")


def test_further_versions_of_kinds_that_can_be_read_do_not_matter() -> None:
    assert checks.unused(_Objects({}, versions={"CloudPeer": ["v1"]})) == []


@pytest.mark.parametrize("kind", ["CloudPeer", "NetworkExpansion", "Attachment"])
def test_what_is_left_is_named(kind: str) -> None:
    (sentence,) = checks.unused(_Objects({kind: [{"metadata": {"name": "web", "namespace": "shop"}}]}))
    assert sentence.startswith(f"Isthmus is in use: {kind} shop/web.")


def test_a_long_list_is_shortened() -> None:
    (sentence,) = checks.unused(_Objects({"CloudPeer": [{"metadata": {"name": f"cloud-{n}"}} for n in range(7)]}))
    assert "CloudPeer cloud-0, cloud-1, cloud-2, cloud-3, cloud-4 and 2 more." in sentence


def test_an_api_server_that_does_not_answer_is_no_permission() -> None:
    class _Down(_Objects):
        def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
            raise Unavailable("connection refused")

    with pytest.raises(Unavailable):
        checks.unused(_Down({}))


def test_healthy_installation_has_no_problem() -> None:
    assert _problems(HEALTHY) == []


def test_missing_definition_is_named() -> None:
    assert _problems(HEALTHY, "PortSlice") == [
        "CustomResourceDefinition portslices: not served by the API server; install the chart again"
    ]


def test_missing_policy_is_named() -> None:
    (problem,) = _problems({**HEALTHY, POLICY: HEALTHY[POLICY][1:]})
    assert problem == f"ValidatingAdmissionPolicy {names.CONTROLLER}: does not exist; install the chart again"


@pytest.mark.parametrize("actions", [["Audit"], []])
def test_policy_that_denies_nothing_is_named(actions: list[str]) -> None:
    objects = deepcopy(HEALTHY)
    objects[BINDING][2]["spec"]["validationActions"] = actions
    (problem,) = _problems(objects)
    assert problem.startswith("ValidatingAdmissionPolicy isthmus-agent: no binding")


def test_controller_that_does_not_renew_its_lease_is_reported() -> None:
    (problem,) = _problems(HEALTHY, renewed_every=1000)
    assert problem.startswith("controller: Lease isthmus-controller was not renewed")


def test_node_that_starts_meanwhile_is_no_problem() -> None:
    class _Starting(_Objects):
        def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[dict[str, Any]]:
            started = kind != "GatewayNode" or self.seconds >= 30
            return super().list_manifests(api_version, kind, namespace) if started else []

    server = _Starting(HEALTHY)
    assert checks.installation(server, server.sleep) == []
    assert server.seconds == 30


def test_node_that_is_not_ready_is_reported_with_its_reason() -> None:
    broken = {**READY, "status": "False", "reason": "NoTunnelAddress", "message": "no address in 192.0.2.0/24"}
    objects = {**HEALTHY, "GatewayNode": [{"metadata": {"name": "gw-a1"}, "status": {"conditions": [broken]}}]}
    assert _problems(objects) == ["gateway node gw-a1: NoTunnelAddress: no address in 192.0.2.0/24"]


def test_node_without_a_report_and_no_node_at_all_are_reported() -> None:
    assert _problems({**HEALTHY, "GatewayNode": []}) == ["gateway node gw-a1: its agent has not reported yet"]
    assert _problems({**HEALTHY, "Node": []}) == ["gateway nodes: no node has the label isthmus.cloud/gateway=true"]
