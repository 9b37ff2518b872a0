"""ports.Leases for the Kubernetes API of our own cloud."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.errors import NotFound
from isthmus.model.facts.lease import Lease
from isthmus.model.names import API_VERSION, GROUP, SYSTEM_NAMESPACE
from isthmus.ports import Manifest

from .client import Client
from .resources import built_in, custom

_TIMEOUT_SECONDS: Final = 5.0
_PAGE_SIZE: Final = 500
_LEASES: Final = built_in("coordination.k8s.io/v1", "Lease")
_OWNER_KIND: Final = GatewayNode.registration.kind


class KubernetesLeases:
    """ports.Leases, with a connection of its own: a request of the loop that hangs does not delay a renewal."""

    def __init__(
        self, kubeconfig: str | None, field_manager: str, *, timeout_seconds: float = _TIMEOUT_SECONDS
    ) -> None:
        """As `KubernetesCluster`."""
        self._client = Client(kubeconfig, field_manager, timeout_seconds, _PAGE_SIZE)

    def get_lease(self, name: str) -> Lease | None:
        with suppress(NotFound):
            return _parsed(self._client.get(_path(name)))
        return None

    def list_leases(self) -> list[Lease]:
        return [_parsed(document) for document in self._client.list_items(_LEASES.path(SYSTEM_NAMESPACE))]

    def update_lease(self, lease: Lease) -> Lease:
        if not lease.resource_version:
            return _parsed(self._client.create(_LEASES.path(SYSTEM_NAMESPACE), self._manifest(lease)))
        # A patch and not a replacement: it leaves labels and owner references alone. With a resource version in it the
        # server answers 409 unless the object still has that version.
        metadata = {"resourceVersion": lease.resource_version, "annotations": dict(lease.annotations)}
        patch = {"metadata": metadata, "spec": _spec(lease)}
        return _parsed(self._client.merge(_path(lease.name), patch))

    def _manifest(self, lease: Lease) -> Manifest:
        metadata: dict[str, Any] = {"name": lease.name, "namespace": SYSTEM_NAMESPACE}
        metadata["annotations"] = dict(lease.annotations)
        if lease.gateway_node:
            metadata["ownerReferences"] = [self._owner(lease.gateway_node)]
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": _spec(lease),
        }

    def _owner(self, gateway_node: str) -> dict[str, str]:
        found = self._client.get(custom(GatewayNode).path(None, gateway_node))["metadata"]
        return {"apiVersion": API_VERSION, "kind": _OWNER_KIND, "name": found["name"], "uid": found["uid"]}


def _path(name: str) -> str:
    return _LEASES.path(SYSTEM_NAMESPACE, name)


def _spec(lease: Lease) -> dict[str, Any]:
    return {
        "holderIdentity": lease.holder or None,
        "leaseDurationSeconds": lease.duration_seconds or None,
        "acquireTime": _text(lease.acquired),
        "renewTime": _text(lease.renewed),
        "leaseTransitions": lease.transitions,
    }


def _parsed(document: Manifest) -> Lease:
    spec, metadata = document.get("spec") or {}, document["metadata"]
    return Lease(
        name=metadata["name"],
        holder=spec.get("holderIdentity") or "",
        duration_seconds=spec.get("leaseDurationSeconds") or 0,
        acquired=_time(spec.get("acquireTime")),
        renewed=_time(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
        resource_version=metadata["resourceVersion"],
        gateway_node=next((o["name"] for o in metadata.get("ownerReferences", ()) if o["kind"] == _OWNER_KIND), ""),
        annotations={k: v for k, v in (metadata.get("annotations") or {}).items() if k.startswith(f"{GROUP}/")},
    )


def _text(moment: datetime | None) -> str | None:
    """`metav1.MicroTime`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else None


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
