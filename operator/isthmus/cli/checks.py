"""What the chart checks in pods: before `helm uninstall`, and as `helm test`. Nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

from isthmus.model import names
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import NotFound
from isthmus.model.names import API_VERSION, VERSION
from isthmus.model.text import listed

_ADMISSION: Final = "admissionregistration.k8s.io/v1"
_POLL_SECONDS: Final = 1.0
# What has just been installed starts within this time, and another controller takes over.
_START_SECONDS: Final = 60
_NOT_RENEWED: Final = (
    f"controller: Lease {names.CONTROLLER} was not renewed for {_START_SECONDS} s; see the controller's log"
)

Document = dict[str, Any]


class Objects(Protocol):
    """The calls to our API server that are needed for `installation`."""

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Document]: ...
    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Document | None: ...


class VersionedObjects(Objects, Protocol):
    """Those for `unused`."""

    def other_versions(self, kind: type[CustomObject]) -> list[str]:
        """Versions but ours in which the API server has a kind of ours."""
        ...


def unused(objects: VersionedObjects) -> list[str]:
    """Why Isthmus must not be uninstalled yet, a sentence each; empty if nothing is left.

    Definitions that do not exist have no objects. Those of other versions may have some that we cannot read. Raises
    ExternalError if the API server does not answer.
    """
    left, unreadable = [], []
    for kind in (CloudPeer, NetworkExpansion, Attachment):
        found = _all(objects, kind)
        if found is None and (versions := objects.other_versions(kind)):
            unreadable.append(f"{kind.registration.kind} as {', '.join(versions)}")
        if found:
            shown = listed([_name(obj) for obj in found], at_most=5, more=" and {} more")
            left.append(f"{kind.registration.kind} {shown}")
    return [*_in_use(left), *_undecided(unreadable)]


def _in_use(left: Sequence[str]) -> Iterator[str]:
    if left:
        yield (
            f"Isthmus is in use: {'; '.join(left)}. Uninstalling it now would leave networks stretched and finalizers "
            "that nobody removes: run kubectl isthmus uninstall, which withdraws all of it first."
        )


def _undecided(unreadable: Sequence[str]) -> Iterator[str]:
    if unreadable:
        yield (
            f"Isthmus may be in use: the API server has {'; '.join(unreadable)}, and this release reads {VERSION}. "
            "Install the release of those definitions first, and uninstall that."
        )


def installation(objects: Objects, sleep: Callable[[float], None]) -> list[str]:
    """What is wrong with the installation, one sentence each: definitions, policies, controller, gateway nodes.

    Waits up to a minute until controller and gateway nodes have started.
    """
    missing = [kind.registration for kind in KINDS if _all(objects, kind) is None]
    if missing:
        return [
            f"CustomResourceDefinition {kind.plural}: not served by the API server; install the chart again"
            for kind in missing
        ]
    return [*_policies(objects), *_processes(objects, sleep)]


def _policies(objects: Objects) -> Iterator[str]:
    policies = {p["metadata"]["name"] for p in objects.list_manifests(_ADMISSION, "ValidatingAdmissionPolicy")}
    bindings = objects.list_manifests(_ADMISSION, "ValidatingAdmissionPolicyBinding")
    denying = {b["spec"]["policyName"] for b in bindings if "Deny" in b["spec"].get("validationActions", [])}
    for name in names.ADMISSION_POLICIES:
        if name not in policies:
            yield f"ValidatingAdmissionPolicy {name}: does not exist; install the chart again"
        elif name not in denying:
            yield f"ValidatingAdmissionPolicy {name}: no binding denies what it refuses; install the chart again"


def _processes(objects: Objects, sleep: Callable[[float], None]) -> list[str]:
    """Wall clocks may differ: the controller's Lease must change while we wait."""
    before, renewed, problems = _lease_version(objects), False, list[str]()
    for _ in range(int(_START_SECONDS / _POLL_SECONDS)):
        sleep(_POLL_SECONDS)
        renewed = renewed or _lease_version(objects) != before
        problems = [*([] if renewed else [_NOT_RENEWED]), *_gateway_nodes(objects)]
        if not problems:
            break
    return problems


def _lease_version(objects: Objects) -> str:
    lease = objects.get_manifest("coordination.k8s.io/v1", "Lease", names.CONTROLLER, names.SYSTEM_NAMESPACE)
    return str(lease["metadata"]["resourceVersion"]) if lease else ""


def _gateway_nodes(objects: Objects) -> Iterator[str]:
    labelled = [
        node["metadata"]["name"]
        for node in objects.list_manifests("v1", "Node")
        if (node["metadata"].get("labels") or {}).get(names.GATEWAY_LABEL) == "true"
    ]
    if not labelled:
        yield f"gateway nodes: no node has the label {names.GATEWAY_LABEL}=true"
    known = {node["metadata"]["name"]: node for node in _all(objects, GatewayNode) or []}
    for name in labelled:
        conditions = known.get(name, {}).get("status", {}).get("conditions", [])
        ready = next((c for c in conditions if c["type"] == "Ready"), None)
        if ready is None:
            yield f"gateway node {name}: its agent has not reported yet"
        elif ready["status"] != "True":
            yield f"gateway node {name}: {ready['reason']}: {ready['message']}"


def _all(objects: Objects, kind: type[CustomObject]) -> list[Document] | None:
    """All objects of a kind; None if the API server does not know the kind."""
    try:
        return objects.list_manifests(API_VERSION, kind.registration.kind)
    except NotFound:
        return None


def _name(document: Document) -> str:
    metadata = document["metadata"]
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
