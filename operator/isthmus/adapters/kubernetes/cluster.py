"""ports.Cluster for the Kubernetes API of our own cloud."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from isthmus.model.api.objects import CustomObject, first_problem
from isthmus.model.errors import ExternalError, Invalid, NotFound
from isthmus.model.names import API_VERSION, GROUP, VERSION
from isthmus.ports import Manifest, T

from . import wire
from .client import Client
from .events import Events
from .resources import Resource, any_kind, built_in, custom

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 10.0
_PAGE_SIZE: Final = 500


class KubernetesCluster:
    """ports.Cluster with the official client. Safe to use from several threads."""

    def __init__(
        self,
        kubeconfig: str | None,
        field_manager: str,
        *,
        timeout_seconds: float = _TIMEOUT_SECONDS,
        page_size: int = _PAGE_SIZE,
    ) -> None:
        """Uses a kubeconfig (one path, or several separated by `:`), or the pod's service account for None.

        `timeout_seconds` limits the wait for a connection and a response, and for each further part of its body.
        Raises Invalid if the kubeconfig does not exist; connects at the first call.
        """
        self._client = Client(kubeconfig, field_manager, timeout_seconds, page_size)
        self._events = Events(field_manager)

    def list_objects(self, kind: type[T], namespace: str | None = None) -> list[T]:
        return [_parsed(kind, document) for document in self._client.list_items(custom(kind).path(namespace))]

    def get(self, kind: type[T], name: str, namespace: str | None = None) -> T | None:
        found = self._get(custom(kind), name, namespace)
        return None if found is None else _parsed(kind, found)

    def apply(self, obj: T) -> T:
        return _parsed(type(obj), self._apply(custom(type(obj)), obj.to_manifest()))

    def apply_status(self, obj: T) -> T:
        document = obj.to_wire()
        identity = {k: v for k, v in document["metadata"].items() if k in {"name", "namespace", "uid"}}
        status = _without_empty_lists(document.get("status", {}))
        manifest = {"apiVersion": API_VERSION, "kind": obj.registration.kind, "metadata": identity, "status": status}
        try:
            return _parsed(type(obj), self._apply(custom(type(obj)), manifest, "status"))
        except Invalid as error:
            accepted = _without_empty_lists(wire.without_fields(manifest, error.fields)["status"])
            if accepted != status:
                self._apply(custom(type(obj)), manifest | {"status": accepted}, "status")
            raise

    def set_conditions(
        self,
        kind: type[CustomObject],
        name: str,
        namespace: str | None,
        conditions: Sequence[Mapping[str, Any]],
        resource_version: str | None,
    ) -> None:
        patch = {"metadata": {"resourceVersion": resource_version}, "status": {"conditions": list(conditions)}}
        self._client.merge(custom(kind).path(namespace, name, "status"), patch)

    def set_finalizers(self, obj: CustomObject, finalizers: Sequence[str]) -> None:
        metadata = {"finalizers": list(finalizers), "resourceVersion": obj.metadata.resource_version}
        path = custom(type(obj)).path(obj.metadata.namespace, obj.metadata.name)
        self._client.merge(path, {"metadata": metadata})

    def delete(self, kind: type[CustomObject], name: str, namespace: str | None = None, uid: str | None = None) -> None:
        self._delete(custom(kind), name, namespace, uid)

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        return self._client.list_items(any_kind(api_version, kind).path(namespace))

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        return self._get(any_kind(api_version, kind), name, namespace)

    def apply_manifest(self, manifest: Manifest) -> Manifest:
        return self._apply(any_kind(manifest["apiVersion"], manifest["kind"]), manifest)

    def delete_manifest(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, uid: str | None = None
    ) -> None:
        self._delete(any_kind(api_version, kind), name, namespace, uid)

    def annotate_account(self, namespace: str, name: str, annotations: dict[str, str | None]) -> None:
        """Set annotations of a ServiceAccount, or remove those that are None.

        For `isthmus peer-kubeconfig` only, and not part of the port.
        """
        path = built_in("v1", "ServiceAccount").path(namespace, name)
        self._client.merge(path, {"metadata": {"annotations": annotations}})

    def request_token(self, namespace: str, account: str, seconds: int) -> tuple[str, datetime]:
        """A new token for a ServiceAccount, and when it ends, which the server may set earlier; as above."""
        path = built_in("v1", "ServiceAccount").path(namespace, account, "token")
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}
        status = self._client.create(path, request | {"spec": {"expirationSeconds": seconds}})["status"]
        return status["token"], datetime.fromisoformat(status["expirationTimestamp"].replace("Z", "+00:00"))

    def other_versions(self, kind: type[CustomObject]) -> list[str]:
        """Versions but ours in which the server has a kind of ours; for `isthmus check-unused` only, as above."""
        try:
            group = self._client.get(f"/apis/{GROUP}")
        except NotFound:
            return []
        served = {entry["version"] for entry in group["versions"]}
        return [version for version in sorted(served - {VERSION}) if self._serves(version, kind)]

    def event(self, obj: CustomObject, type_: str, reason: str, message: str) -> None:
        try:
            self.apply_manifest(self._events.manifest(obj, type_, reason, message))
        except ExternalError as error:
            _LOG.warning("event %s about %s not recorded: %s", reason, obj.metadata.name, error)

    def _serves(self, version: str, kind: type[CustomObject]) -> bool:
        found = self._client.get(f"/apis/{GROUP}/{version}")["resources"]
        return any(resource["name"] == kind.registration.plural for resource in found)

    def _get(self, resource: Resource, name: str, namespace: str | None) -> Manifest | None:
        with suppress(NotFound):
            return self._client.get(resource.path(namespace, name))
        return None

    def _apply(self, resource: Resource, manifest: Manifest, *subresource: str) -> Manifest:
        metadata = manifest["metadata"]
        return self._client.apply(resource.path(metadata.get("namespace"), metadata["name"], *subresource), manifest)

    def _delete(self, resource: Resource, name: str, namespace: str | None, uid: str | None) -> None:
        with suppress(NotFound):
            self._client.delete(resource.path(namespace, name), uid)


def _without_empty_lists(status: Manifest) -> Manifest:
    """A status without its empty lists: they would make us co-owners of what others write.

    One stays where nothing else would: from a status that lost its last field the server makes null, and refuses it.
    """
    full = {name: value for name, value in status.items() if value != []}
    return full or dict(list(status.items())[-1:])


def _parsed(kind: type[T], document: Mapping[str, Any]) -> T:
    """The object. Raises Invalid if it is not understood."""
    try:
        return kind.from_wire(document)
    except ValidationError as error:
        name = document.get("metadata", {}).get("name")
        raise Invalid(f"{kind.registration.kind} {name} is not understood: {first_problem(error)}") from error
