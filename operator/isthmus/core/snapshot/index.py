"""The snapshot that planning starts from: our objects, namespaces and nodes, and the peers' links as last read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar, cast

from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.facts.peer import PeerView

T = TypeVar("T", bound=CustomObject)
Key = tuple[str, str]


@dataclass(frozen=True)
class OwnCloud:
    """The settings of this cloud that planning needs."""

    cloud_id: str
    gateway_cidrs: tuple[str, ...]
    absence_grace_seconds: float
    gateway_return_seconds: float = 0.0


@dataclass(frozen=True)
class Snapshot:
    """All inputs. Objects by kind, then by (namespace, name); the namespace of cluster-scoped ones is empty."""

    own: OwnCloud
    now: datetime
    objects: Mapping[type[CustomObject], Mapping[Key, CustomObject]] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    gateway_nodes: frozenset[str] = frozenset()
    """Kubernetes nodes that carry the gateway label."""
    credentials: frozenset[str] = frozenset()
    """Cloud IDs of the peers whose kubeconfig Secret exists."""
    views: Mapping[str, PeerView] = field(default_factory=dict)
    gateway_health: Mapping[str, NodeHealth] = field(default_factory=dict)
    """The health of the gateway nodes that were observed over time, by name."""
    openstack_problem: Problem | None = None
    """Why this cloud's OpenStack cannot be used at all; None if it can."""
    _ordered: dict[type[CustomObject], tuple[CustomObject, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def all(self, kind: type[T]) -> tuple[T, ...]:
        """All objects of a kind, ordered by namespace and name."""
        if kind not in self._ordered:
            held = self.objects.get(kind, {})
            self._ordered[kind] = tuple(obj for _, obj in sorted(held.items()) if isinstance(obj, kind))
        return cast(tuple[T, ...], self._ordered[kind])

    @cached_property
    def expansions(self) -> Mapping[str, tuple[NetworkExpansion, ...]]:
        """NetworkExpansions by link name, in order of claim precedence."""
        found: dict[str, list[NetworkExpansion]] = {}
        for expansion in sorted(self.all(NetworkExpansion), key=claim_precedence):
            name = names.link_name(self.own.cloud_id, expansion.spec.network_id)
            found.setdefault(name, []).append(expansion)
        return {name: tuple(requests) for name, requests in found.items()}

    def get(self, kind: type[T], name: str, namespace: str = "") -> T | None:
        """One object, or None."""
        found = self.objects.get(kind, {}).get((namespace, name))
        return found if isinstance(found, kind) else None

    def with_object(self, obj: CustomObject) -> Snapshot:
        """With this object added or replaced."""
        held = {**self.objects.get(type(obj), {}), key_of(obj): obj}
        return replace(self, objects={**self.objects, type(obj): held})

    def without_object(self, obj: CustomObject) -> Snapshot:
        """Without this object."""
        held = {k: v for k, v in self.objects.get(type(obj), {}).items() if k != key_of(obj)}
        return replace(self, objects={**self.objects, type(obj): held})

    def with_peers(self, credentials: frozenset[str], views: Mapping[str, PeerView]) -> Snapshot:
        """With these credentials and views of the peers."""
        return replace(self, credentials=credentials, views=views)

    def with_gateway_health(self, health: Mapping[str, NodeHealth]) -> Snapshot:
        """With the health of the gateway nodes as last observed."""
        return replace(self, gateway_health=health)

    def with_openstack_problem(self, problem: Problem | None) -> Snapshot:
        """With the result of the last check of this cloud's OpenStack."""
        return replace(self, openstack_problem=problem)

    def with_namespace(self, name: str, manifest: Mapping[str, Any] | None) -> Snapshot:
        """With this namespace replaced, or removed if `manifest` is None."""
        others = {k: v for k, v in self.namespaces.items() if k != name}
        return replace(self, namespaces=others | ({name: manifest} if manifest else {}))

    def peer_of(self, cloud_id: str) -> CloudPeer | None:
        """The CloudPeer that owns that cloud ID: the first by claim precedence if several have it."""
        claims = [p for p in self.all(CloudPeer) if p.spec.cloud_id == cloud_id]
        return min(claims, key=claim_precedence, default=None)

    def peerlink(self, cloud_id: str) -> PeerLink | None:
        """Our PeerLink for that peer."""
        return self.get(PeerLink, self.own.cloud_id, names.peer_namespace(cloud_id))

    def link(self, cloud_id: str, link_name: str) -> ExpansionLink | None:
        """Our ExpansionLink of that network for that peer."""
        return self.get(ExpansionLink, link_name, names.peer_namespace(cloud_id))

    def links_to(self, cloud_id: str) -> tuple[ExpansionLink, ...]:
        """All our ExpansionLinks for that peer."""
        namespace = names.peer_namespace(cloud_id)
        return tuple(link for link in self.all(ExpansionLink) if link.metadata.namespace == namespace)

    def links_of(self, link_name: str) -> tuple[ExpansionLink, ...]:
        """Our ExpansionLinks of that network, for all peers."""
        return tuple(link for link in self.all(ExpansionLink) if link.metadata.name == link_name)

    def attachment(self, link_name: str) -> Attachment | None:
        """The Attachment of that network."""
        return self.get(Attachment, link_name, names.SYSTEM_NAMESPACE)


def key_of(obj: CustomObject) -> Key:
    """Namespace and name."""
    return obj.metadata.namespace or "", obj.metadata.name


def claim_precedence(obj: CustomObject) -> tuple[bool, str, str]:
    """Sort key of objects that claim the same thing: the owner, which has our finalizer, first; then by name."""
    return names.FINALIZER not in obj.metadata.finalizers, *key_of(obj)


def indexed(objects: Iterable[CustomObject]) -> dict[Key, CustomObject]:
    """Objects by namespace and name."""
    return {key_of(obj): obj for obj in objects}


def is_accepted(link: ExpansionLink | None) -> bool:
    """Whether our ExpansionLink accepts the peer's offer."""
    return link is not None and link.spec.answer is not None and link.spec.answer.verdict == "Accepted"
