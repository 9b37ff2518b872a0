"""Facts from OpenStack about each network, and from Kubernetes about each peer's account, cached between iterations.

Cached facts can only decide that nothing is to be done: before anything is changed they are fetched again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from isthmus.core.federation.credentials import Account
from isthmus.core.federation.namespace import account_manifests
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.errors import Forbidden, NotFound
from isthmus.model.facts.openstack import Domain, Network, NetworkFacts, Project, Subnet
from isthmus.ports import Cluster, NetworkCloud

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

    def begin(self, name: str) -> None:
        """The facts of that name are not fresh any more: a new reconciliation begins."""
        self._fresh.discard(name)

    def expire(self, name: str) -> None:
        """Fetch the facts of that name again when next needed: to find what was changed without an event."""
        if name in self._cached:
            self._invalid.add(name)

    def get(self, snapshot: Snapshot, name: str) -> F:
        """The facts, fetched if they are not cached or were invalidated. Raises ExternalError."""
        if name not in self._cached or name in self._invalid:
            self._cached[name] = self.fetch(snapshot, name)
            self._invalid.discard(name)
            self._fresh.add(name)
        return self._cached[name]

    def cached(self, name: str) -> F | None:
        """The facts as last fetched; None if they never were."""
        return self._cached.get(name)

    def is_fresh(self, name: str) -> bool:
        """Whether a plan made from them may be applied; plans without facts always may."""
        return name in self._fresh or name not in self._cached

    def invalidate(self, name: str) -> None:
        """Fetch again when next needed: something was changed, or is about to be."""
        self._fresh.discard(name)
        self._invalid.add(name)

    def drop(self, name: str) -> None:
        """Drop the facts of that name."""
        self._cached.pop(name, None)
        self._fresh.discard(name)
        self._invalid.discard(name)


def origin_facts(cloud: NetworkCloud, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """Facts about a network that this cloud owns. Raises ExternalError.

    Ports are listed after subnets so that allocations racing with an update of the pools are seen.
    """
    network = cloud.get_network(link_name.partition(".")[2])
    if network is None or not network.project_id:  # Neutron's own networks have no project
        return NetworkFacts(cloud.own_project_id())
    if snapshot.attachment(link_name) is None:  # checked before an expansion starts only
        network = replace(network, shared=network.shared or cloud.is_shared_by_policy(network.id))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)),
        ports=tuple(cloud.ports_of(network.id)),
        project=cloud.get_project(network.project_id),
    )


def receiver_facts(cloud: NetworkCloud, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """Facts about the replica of a peer's network, and about its domain and project. Raises ExternalError."""
    receiver = Receiver(snapshot, link_name)
    domain = cloud.find_domain(receiver.domain_name)
    project = _replica_project(cloud, receiver, domain)
    networks = cloud.networks_of(project.id) if project else []
    network = _replica_network(receiver, networks)
    removing = receiver.intent in {"Remove", "Refuse"}
    others = [n for n in networks if network is None or n.id != network.id]
    removable = network is None and (removing or (domain is not None and not domain.enabled))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)) if network else (),
        ports=tuple(cloud.ports_of(network.id)) if network else (),
        domain=domain,
        project=project,
        quota=cloud.get_quota(project.id) if project and not removing else None,
        project_is_empty=removing and network is None and project is not None and cloud.project_is_empty(project.id),
        projects_in_domain=_projects(cloud, receiver, domain) if removable else 0,
        other_networks=len(others),
        other_subnets=_subnets_of(cloud, project, {n.id for n in others}) if not removing else (),
    )


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


def _replica_project(cloud: NetworkCloud, receiver: Receiver, domain: Domain | None) -> Project | None:
    """By the recorded ID, else by the ownership marker in the peer's domain."""
    recorded = receiver.record.project_id
    found = cloud.get_project(recorded) if recorded else None
    if found is not None or domain is None or receiver.project_marker is None:
        return found
    return next((p for p in cloud.projects_of(domain.id) if p.description == receiver.project_marker), None)


def _replica_network(receiver: Receiver, networks: list[Network]) -> Network | None:
    """By the recorded ID, else by the ownership marker with this record's UID; in the replica project only."""
    by_id = {network.id: network for network in networks}
    recorded = by_id.get(receiver.record.network_id or "")
    marked = (n for n in networks if n.description == receiver.replica_marker)
    return recorded or next(marked, None)


def _subnets_of(cloud: NetworkCloud, project: Project | None, network_ids: set[str]) -> tuple[Subnet, ...]:
    """The subnets of these networks of the project, by one request."""
    if project is None or not network_ids:
        return ()
    return tuple(subnet for subnet in cloud.subnets_in_project(project.id) if subnet.network_id in network_ids)


def _projects(cloud: NetworkCloud, receiver: Receiver, domain: Domain | None) -> int:
    domain_id = receiver.own_domain_id(domain)
    try:
        return len(cloud.projects_of(domain_id)) if domain_id else 0
    except NotFound:
        return 0
