"""The Kubernetes API of our own cloud, through lightkube."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

import httpx2
import lightkube
import msgspec
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.core.generic_client import ALL_NS
from lightkube.core.resource import NamespacedResource
from lightkube.generic_resource import create_global_resource, create_namespaced_resource
from lightkube.types import PatchType
from pydantic import ValidationError

from isthmus.model import errors
from isthmus.model.api.objects import API_VERSION, GROUP, VERSION, CustomObject
from isthmus.model.names import digest
from isthmus.ports import Manifest, T

_LOG = logging.getLogger(__name__)
_TIMEOUT_SECONDS: Final = 10.0
_PAGE: Final = 500
_MAX_MESSAGE_CHARACTERS: Final = 512
_RBAC: Final = "rbac.authorization.k8s.io/v1"

# Kinds that are not ours: their plural, and whether they live in namespaces.
_FOREIGN: Final[Mapping[tuple[str, str], tuple[str, bool]]] = {
    ("v1", "Event"): ("events", True),
    ("v1", "Namespace"): ("namespaces", False),
    ("v1", "Node"): ("nodes", False),
    ("v1", "Secret"): ("secrets", True),
    ("v1", "ServiceAccount"): ("serviceaccounts", True),
    (_RBAC, "Role"): ("roles", True),
    (_RBAC, "RoleBinding"): ("rolebindings", True),
}


class LightkubeCluster:
    """ports.Cluster on a real API server. Safe to use from several threads."""

    def __init__(self, kubeconfig: str | None, field_manager: str) -> None:
        """Without a kubeconfig the pod's service account is used; its token is read again when it is refused."""
        with _translated():
            config = (
                lightkube.KubeConfig.from_file(kubeconfig)
                if kubeconfig
                else lightkube.KubeConfig.from_service_account()
            )
            self._client = lightkube.Client(
                config=config,
                timeout=httpx2.Timeout(_TIMEOUT_SECONDS),
                field_manager=field_manager,
                trust_env=False,
            )
        self._field_manager = field_manager

    def list_objects(self, kind: type[T], namespace: str | None = None) -> list[T]:
        return [_parsed(kind, document) for document in self._list(_own(kind), namespace)]

    def get(self, kind: type[T], name: str, namespace: str | None = None) -> T | None:
        found = self._get(_own(kind), name, namespace)
        return None if found is None else _parsed(kind, found)

    def apply(self, obj: T) -> T:
        return _parsed(type(obj), self._apply(_own(type(obj)), obj.to_manifest()))

    def apply_status(self, obj: T) -> T:
        wire = obj.to_wire()
        identity = {k: v for k, v in wire["metadata"].items() if k in {"name", "namespace", "uid"}}
        status = _without_empty_lists(wire.get("status", {}))
        manifest = {"apiVersion": API_VERSION, "kind": obj.registration.kind, "metadata": identity, "status": status}
        return _parsed(type(obj), self._apply(_own(type(obj)).Status, manifest))

    def set_finalizers(self, obj: CustomObject, finalizers: Sequence[str]) -> None:
        metadata = {"finalizers": list(finalizers), "resourceVersion": obj.metadata.resource_version}
        self._patch(_own(type(obj)), obj.metadata.name, obj.metadata.namespace, {"metadata": metadata}, PatchType.MERGE)

    def delete(self, kind: type[CustomObject], name: str, namespace: str | None = None) -> None:
        self._delete(_own(kind), name, namespace)

    def list_manifests(self, api_version: str, kind: str, namespace: str | None = None) -> list[Manifest]:
        return self._list(_foreign(api_version, kind), namespace)

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Manifest | None:
        return self._get(_foreign(api_version, kind), name, namespace)

    def apply_manifest(self, manifest: Manifest) -> Manifest:
        return self._apply(_foreign(manifest["apiVersion"], manifest["kind"]), manifest)

    def delete_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> None:
        self._delete(_foreign(api_version, kind), name, namespace)

    def event(self, obj: CustomObject, type_: str, reason: str, message: str) -> None:
        try:
            self.apply_manifest(_event(obj, type_, reason, message, self._field_manager))
        except errors.ExternalError as error:
            _LOG.warning("event %s about %s not recorded: %s", reason, obj.metadata.name, error)

    def _list(self, resource: Any, namespace: str | None) -> list[Manifest]:
        place = (namespace or ALL_NS) if issubclass(resource, NamespacedResource) else None
        with _translated():
            return [dict(item) for item in self._client.list(resource, namespace=place, chunk_size=_PAGE)]

    def _get(self, resource: Any, name: str, namespace: str | None) -> Manifest | None:
        try:
            with _translated():
                return dict(self._client.get(resource, name, namespace=namespace))
        except errors.NotFound:
            return None

    def _apply(self, resource: Any, manifest: Manifest) -> Manifest:
        metadata = manifest["metadata"]
        return self._patch(resource, metadata["name"], metadata.get("namespace"), manifest, PatchType.APPLY)

    def _patch(self, resource: Any, name: str, namespace: str | None, patch: Manifest, type_: PatchType) -> Manifest:
        with _translated():
            done = self._client.patch(resource, name, patch, namespace=namespace, patch_type=type_, force=True)
            return dict(done)

    def _delete(self, resource: Any, name: str, namespace: str | None) -> None:
        try:
            with _translated():
                self._client.delete(resource, name, namespace=namespace)
        except errors.NotFound:
            pass


@cache
def _own(kind: type[CustomObject]) -> Any:
    registration = kind.registration
    create = create_namespaced_resource if registration.namespaced else create_global_resource
    return create(GROUP, VERSION, registration.kind, registration.plural)


@cache  # lightkube refuses to register a kind of the core group twice
def _foreign(api_version: str, kind: str) -> Any:
    plural, namespaced = _FOREIGN[api_version, kind]
    group, _, version = api_version.rpartition("/")
    create = create_namespaced_resource if namespaced else create_global_resource
    return create(group, version, kind, plural)


def _without_empty_lists(status: Manifest) -> Manifest:
    """A status without its empty lists: they would make us co-owners of what others write.

    One stays where nothing else would: from a status that lost its last field the server makes null, and refuses it.
    """
    full = {name: value for name, value in status.items() if value != []}
    return full or dict(list(status.items())[-1:])


def _parsed(kind: type[T], document: Mapping[str, Any]) -> T:
    """The object. One that our own server stores and that we do not understand stops everything that reads it.

    To leave it out would look like its deletion, and what belongs to it would be torn down.
    """
    try:
        return kind.from_wire(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        name = document.get("metadata", {}).get("name")
        raise errors.Invalid(f"{kind.registration.kind} {name} is not understood: {where}: {first['msg']}") from error


def _event(obj: CustomObject, type_: str, reason: str, message: str, reporter: str) -> Manifest:
    """An Event whose name tells what it says, so that repeats renew it instead of piling up."""
    about = obj.metadata
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    namespace = about.namespace or "default"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{about.name[:200]}.{digest(about.uid or '', type_, reason, message, digits=16)}",
            "namespace": namespace,
        },
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": obj.registration.kind,
            "name": about.name,
            "namespace": about.namespace or "",
            "uid": about.uid or "",
        },
        "type": type_,
        "reason": reason,
        "message": message[:1024],
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": reporter},
        "reportingComponent": reporter,
    }


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what lightkube and its HTTP client raise into our errors."""
    try:
        yield
    except ApiError as error:
        raise _by_status(error) from error
    except httpx2.HTTPStatusError as error:
        raise errors.Unavailable(f"the API server answered {error.response.status_code} without saying why") from error
    except (httpx2.HTTPError, msgspec.MsgspecError, OSError) as error:
        raise errors.Unavailable(f"the API server does not answer: {error or type(error).__name__}") from error
    except (ConfigError, KeyError) as error:
        raise errors.Invalid(f"kubeconfig: {error}") from error


def _by_status(error: ApiError) -> errors.ExternalError:
    status = error.status
    text = (status.message or str(error))[:_MAX_MESSAGE_CHARACTERS]
    causes = {cause.reason for cause in (status.details.causes or [])} if status.details else set()
    match status.code:
        case 403 if "NamespaceTerminating" in causes:
            return errors.Conflict(text)
        case 401 | 403:
            return errors.Forbidden(text)
        case 404:
            return errors.NotFound(text)
        case 409:
            return errors.Conflict(text)
        case 400 | 405 | 413 | 415 | 422:
            return errors.Invalid(text)
        case _:
            return errors.Unavailable(text)
