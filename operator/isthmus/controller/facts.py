"""Facts from OpenStack about each network, and from Kubernetes about each peer's account, cached between iterations.

Cached facts can only decide that nothing is to be done: before anything is changed they are fetched again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypedDict, TypeVar

from isthmus.core.federation.credentials import Account
from isthmus.core.federation.namespace import account_manifests
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.security_groups import may_carry_groups, may_match_groups
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.errors import Forbidden, NotFound
from isthmus.model.facts.openstack import (
    Domain,
    Network,
    NetworkFacts,
    NetworkQuota,
    Port,
    Project,
    SecurityGroup,
    Subnet,
)
from isthmus.ports import Cluster

F = TypeVar("F")


@dataclass
class FactCache(Generic[F]):
    """Cached facts by name. `fresh` means fetched in this iteration of the name and not invalidated since.

    Several threads may use it at once, each with another name.
    """

    fetch: Callable[[Snapshot, str], F]
    _cached: dict[str, F] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    _invalid: set[str] = field(default_factory=set)
    _versions: dict[str, int] = field(default_factory=dict)
    """Incremented whenever facts are fetched or invalidated: what was listed before is older."""
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, name: str) -> None:
        """The facts of that name are not fresh any more: a new reconciliation begins."""
        with self._lock:
            self._fresh.discard(name)

    def expire(self, name: str) -> None:
        """Fetch the facts of that name again when next needed: to find what was changed without an event."""
        with self._lock:
            if name in self._cached:
                self._invalid.add(name)

    def get(self, snapshot: Snapshot, name: str) -> F:
        """The facts, fetched if they are not cached or were invalidated. Raises ExternalError."""
        with self._lock:
            if name in self._cached and name not in self._invalid:
                return self._cached[name]
        fetched = self.fetch(snapshot, name)
        with self._lock:
            self._advance(name)
            self._cached[name] = fetched
            self._invalid.discard(name)
            self._fresh.add(name)
        return fetched

    def cached(self, name: str) -> F | None:
        """The facts as last fetched; None if they never were."""
        return self._cached.get(name)

    def is_fresh(self, name: str) -> bool:
        """Whether a plan made from them may be applied; plans without facts always may."""
        return name in self._fresh or name not in self._cached

    def invalidate(self, name: str) -> int:
        """Fetch again when next needed: something was changed, or is about to be. Returns the version after that."""
        with self._lock:
            self._advance(name)
            self._fresh.discard(name)
            self._invalid.add(name)
            return self._versions[name]

    def amend(self, name: str, version: int, facts: F) -> None:
        """Replace facts by what one change of ours made of them, which stay fresh if nothing else invalidated them."""
        with self._lock:
            if name in self._cached and self._versions.get(name, 0) == version:
                self._cached[name] = facts
                self._invalid.discard(name)
                self._fresh.add(name)

    def drop(self, name: str) -> None:
        """Drop the facts of that name."""
        with self._lock:
            self._advance(name)
            self._cached.pop(name, None)
            self._fresh.discard(name)
            self._invalid.discard(name)

    def versions(self) -> dict[str, int]:
        """By name, the version of what is cached."""
        with self._lock:
            return {name: self._versions.get(name, 0) for name in self._cached}

    def update(self, name: str, facts: F, version: int) -> bool:
        """Replace facts that had this version when a list was begun, unless they were fetched or invalidated since.

        Returns whether they changed. They do not become fresh: before anything is changed they are fetched again.
        """
        with self._lock:
            if name not in self._cached or self._versions.get(name, 0) != version or self._cached[name] == facts:
                return False
            self._cached[name] = facts
            self._fresh.discard(name)
            return True

    def _advance(self, name: str) -> None:
        self._versions[name] = self._versions.get(name, 0) + 1


class FactReader(Protocol):
    """What facts are made of: `ports.NetworkCloud`, or lists that were read before. See there for the methods."""

    def own_project_id(self) -> str: ...
    def get_network(self, network_id: str) -> Network | None: ...
    def networks_shared_by_policy(self, *network_ids: str) -> frozenset[str]: ...
    def networks_of(self, *project_ids: str) -> list[Network]: ...
    def subnets_of(self, *network_ids: str) -> list[Subnet]: ...
    def subnets_in_project(self, *project_ids: str) -> list[Subnet]: ...
    def ports_of(self, *network_ids: str) -> list[Port]: ...
    def security_groups_of(self, *project_ids: str, with_rules: bool = False) -> list[SecurityGroup]: ...
    def find_domain(self, name: str) -> Domain | None: ...
    def get_project(self, project_id: str) -> Project | None: ...
    def projects_of(self, domain_id: str) -> Sequence[Project]: ...
    def get_quota(self, project_id: str) -> NetworkQuota: ...
    def project_is_empty(self, project_id: str) -> bool: ...
    def unseen_services(self) -> tuple[str, ...]: ...


def origin_facts(
    cloud: FactReader, snapshot: Snapshot, link_name: str, project_of: Callable[[Network], Project | None] | None = None
) -> NetworkFacts:
    """Facts about a network that this cloud owns; its project by `project_of` if given. Raises ExternalError.

    Ports are listed after subnets so that allocations racing with an update of the pools are seen.
    """
    network = cloud.get_network(link_name.partition(".")[2])
    if network is None or not network.project_id:  # Neutron's own networks have no project
        return NetworkFacts(cloud.own_project_id())
    if snapshot.attachment(link_name) is None:  # checked before an expansion starts only
        network = replace(network, shared=network.shared or bool(cloud.networks_shared_by_policy(network.id)))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)),
        ports=tuple(cloud.ports_of(network.id)),
        project=project_of(network) if project_of else cloud.get_project(network.project_id),
        groups=_groups(cloud, snapshot, link_name, network),
    )


def receiver_facts(cloud: FactReader, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """Facts about the replica of a peer's network, and about its domain and project. Raises ExternalError."""
    receiver = Receiver(snapshot, link_name)
    domain = cloud.find_domain(receiver.domain_name)
    project = _replica_project(cloud, receiver, domain)
    project_id = project.id if project else receiver.record.project_id
    networks = cloud.networks_of(project_id) if project_id else []  # Neutron keeps those of a deleted project
    network = _replica_network(receiver, networks)
    removing = receiver.intent in {"Remove", "Refuse"}
    duplicates = [n for n in networks if network and n.id != network.id and n.description == receiver.replica_marker]
    others = [n for n in networks if n != network and n not in duplicates]
    removable = network is None and (removing or (domain is not None and not domain.enabled))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)) if network else (),
        ports=tuple(cloud.ports_of(network.id)) if network else (),
        domain=domain,
        project=project,
        quota=cloud.get_quota(project.id) if project and not removing else None,
        **_about_removal(cloud, receiver, project if removing and network is None else None),
        duplicate_networks=tuple(duplicates),
        duplicate_ports=tuple(cloud.ports_of(*(n.id for n in duplicates))),
        groups=_groups(cloud, snapshot, link_name, network) if network else None,
        projects_in_domain=_projects(cloud, receiver, domain) if removable else 0,
        other_networks=len(others),
        other_subnets=_subnets_of(cloud, project, {n.id for n in others}) if not removing else (),
    )


def keeping_ports(facts: NetworkFacts, before: NetworkFacts | None) -> NetworkFacts:
    """The facts with the objects of `before` for ports that are as they were: what was made of them is found again."""
    known = {port.id: port for port in before.ports} if before is not None else {}
    kept = (old if (old := known.get(port.id, port)) == port else port for port in facts.ports)
    return replace(facts, ports=tuple(kept))


def peer_account(cluster: Cluster, cloud_id: str) -> Account:
    """The existing objects of the account that a peer reads with. Raises ExternalError."""
    found = {}
    wanted = [(m["apiVersion"], m["kind"], m["metadata"]["name"]) for m in account_manifests(cloud_id)]
    for api_version, kind, name in (*wanted, ("v1", "Secret", names.PEER_TOKEN)):
        try:
            existing = cluster.get_manifest(api_version, kind, name, names.peer_namespace(cloud_id))
        except Forbidden:  # the Role that allows this read is one of the objects that may be missing
            existing = None
        if existing is not None:
            found[kind, name] = existing
    return found


def _groups(
    cloud: FactReader, snapshot: Snapshot, link_name: str, network: Network
) -> tuple[SecurityGroup, ...] | None:
    if not may_match_groups(snapshot, link_name):
        return None
    found = cloud.security_groups_of(network.project_id, with_rules=may_carry_groups(snapshot, link_name))
    return tuple(sorted(found, key=lambda group: group.id))


def _replica_project(cloud: FactReader, receiver: Receiver, domain: Domain | None) -> Project | None:
    """By the recorded ID alone if there is one; else by the ownership marker in the peer's domain."""
    recorded = receiver.record.project_id
    if recorded is not None:
        return cloud.get_project(recorded)
    if domain is None or receiver.project_marker is None:
        return None
    return next((p for p in cloud.projects_of(domain.id) if p.description == receiver.project_marker), None)


def _replica_network(receiver: Receiver, networks: list[Network]) -> Network | None:
    """By the recorded ID, else the oldest with the ownership marker with this record's UID; in the project only."""
    by_id = {network.id: network for network in networks}
    recorded = by_id.get(receiver.record.network_id or "")
    marked = [n for n in networks if n.description == receiver.replica_marker]
    return recorded or min(marked, key=lambda n: (n.created_at, n.id), default=None)


class _AboutRemoval(TypedDict):
    project_is_empty: bool
    unseen_services: tuple[str, ...]


def _about_removal(cloud: FactReader, receiver: Receiver, project: Project | None) -> _AboutRemoval:
    """Whether the replica project, which is to be removed, may hold anything."""
    unseen = cloud.unseen_services() if project is not None and not receiver.may_delete_projects else ()
    is_empty = project is not None and not unseen and cloud.project_is_empty(project.id)
    return {"project_is_empty": is_empty, "unseen_services": unseen}


def _subnets_of(cloud: FactReader, project: Project | None, network_ids: set[str]) -> tuple[Subnet, ...]:
    """The subnets of these networks of the project, by one request."""
    if project is None or not network_ids:
        return ()
    return tuple(subnet for subnet in cloud.subnets_in_project(project.id) if subnet.network_id in network_ids)


def _projects(cloud: FactReader, receiver: Receiver, domain: Domain | None) -> int:
    domain_id = receiver.own_domain_id(domain)
    try:
        return len(cloud.projects_of(domain_id)) if domain_id else 0
    except NotFound:
        return 0
