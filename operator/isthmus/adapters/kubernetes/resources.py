"""Kinds of objects as they appear in URLs of the Kubernetes API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from isthmus.model.api.kinds import KINDS
from isthmus.model.api.objects import CustomObject
from isthmus.model.names import API_VERSION, GROUP, VERSION

_RBAC: Final = "rbac.authorization.k8s.io"
_ADMISSION: Final = "admissionregistration.k8s.io"


@dataclass(frozen=True)
class Resource:
    """Group (empty for the core group), version and plural of a kind."""

    group: str
    version: str
    plural: str
    namespaced: bool = False

    @property
    def root(self) -> str:
        """The URL path of its group and version."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    def path(self, namespace: str | None = None, *names: str) -> str:
        """The URL path of all objects (in a namespace); `names` are an object's name and perhaps a subresource."""
        place = ("namespaces", namespace) if self.namespaced and namespace else ()
        return "/".join((self.root, *(quote(part, safe="") for part in (*place, self.plural, *names))))


_BUILT_IN: Final[Mapping[tuple[str, str], Resource]] = {
    ("v1", "Event"): Resource("", "v1", "events", namespaced=True),
    ("v1", "Namespace"): Resource("", "v1", "namespaces"),
    ("v1", "Node"): Resource("", "v1", "nodes"),
    ("v1", "Secret"): Resource("", "v1", "secrets", namespaced=True),
    ("v1", "ConfigMap"): Resource("", "v1", "configmaps", namespaced=True),
    ("v1", "ServiceAccount"): Resource("", "v1", "serviceaccounts", namespaced=True),
    ("coordination.k8s.io/v1", "Lease"): Resource("coordination.k8s.io", "v1", "leases", namespaced=True),
    (f"{_ADMISSION}/v1", "ValidatingAdmissionPolicy"): Resource(_ADMISSION, "v1", "validatingadmissionpolicies"),
    (f"{_ADMISSION}/v1", "ValidatingAdmissionPolicyBinding"): Resource(
        _ADMISSION, "v1", "validatingadmissionpolicybindings"
    ),
    (f"{_RBAC}/v1", "Role"): Resource(_RBAC, "v1", "roles", namespaced=True),
    (f"{_RBAC}/v1", "RoleBinding"): Resource(_RBAC, "v1", "rolebindings", namespaced=True),
}


def custom(kind: type[CustomObject]) -> Resource:
    """A kind of ours."""
    return Resource(GROUP, VERSION, kind.registration.plural, kind.registration.namespaced)


_OURS: Final = {kind.registration.kind: custom(kind) for kind in KINDS}


def built_in(api_version: str, kind: str) -> Resource:
    """A kind of Kubernetes itself; only those that Isthmus uses."""
    return _BUILT_IN[api_version, kind]


def any_kind(api_version: str, kind: str) -> Resource:
    """A kind of ours or of Kubernetes itself."""
    return _OURS[kind] if api_version == API_VERSION else built_in(api_version, kind)


def named(kinds: Iterable[type[CustomObject]], *core: str) -> dict[str, Resource]:
    """Several kinds of ours, and kinds of Kubernetes' core group, by their names."""
    own = {kind.registration.kind: custom(kind) for kind in kinds}
    return own | {kind: built_in("v1", kind) for kind in core}


def resources(kinds: Iterable[type[CustomObject]]) -> tuple[Resource, ...]:
    """Several kinds of ours."""
    return tuple(custom(kind) for kind in kinds)
