"""What OpenStack and a peer's namespace say, per network and peer.

Known facts only ever decide that nothing is to be done: before anything is changed they are asked for again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from isthmus.core.federation.namespace import account_manifests
from isthmus.core.federation.plan import Account
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.errors import Forbidden, NotFound
from isthmus.model.facts.openstack import Domain, Network, NetworkFacts, Project, Subnet
from isthmus.ports import Cluster, NetworkCloud

F = TypeVar("F")


@dataclass
class Facts(Generic[F]):
    """Facts by name: merely known, or fresh, which is asked for in this cycle and after the last change."""

    ask: Callable[[Snapshot, str], F]
    _known: dict[str, F] = field(default_factory=dict)
    _fresh: set[str] = field(default_factory=set)
    _due: set[str] = field(default_factory=set)

    def begin_cycle(self, *, resync: bool) -> None:
        """Time has passed: nothing is fresh; at a resync everything is asked for again."""
        self._fresh.clear()
        if resync:
            self._due = set(self._known)

    def of(self, snapshot: Snapshot, name: str) -> F:
        """What is known, asked for where that is due."""
        if name not in self._known or name in self._due:
            self._known[name] = self.ask(snapshot, name)
            self._due.discard(name)
            self._fresh.add(name)
        return self._known[name]

    def known(self, name: str) -> F | None:
        """What was last heard."""
        return self._known.get(name)

    def is_fresh(self, name: str) -> bool:
        """Whether it is good enough to act on; what was never asked for is not acted on."""
        return name in self._fresh or name not in self._known

    def invalidate(self, name: str) -> None:
        """Ask again: something was changed, or is about to be."""
        self._fresh.discard(name)
        self._due.add(name)

    def forget(self, name: str) -> None:
        """Nothing is asked about it any more."""
        self._known.pop(name, None)

    def forget_others(self, names_in_use: set[str]) -> None:
        """What nobody asks for any more."""
        self._known = {k: v for k, v in self._known.items() if k in names_in_use}


def origin_facts(cloud: NetworkCloud, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """One network of ours. Ports after subnets: who shrank the pools must see what came before that."""
    network = cloud.get_network(link_name.partition(".")[2])
    if network is None:
        return NetworkFacts(cloud.own_project_id())
    if snapshot.attachment(link_name) is None:  # of what is begun nobody asks any more whom it is shared with
        network = replace(network, shared=network.shared or cloud.is_shared_by_policy(network.id))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)),
        ports=tuple(cloud.ports_of(network.id)),
        project=cloud.get_project(network.project_id),
    )


def receiver_facts(cloud: NetworkCloud, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """The copy of a peer's network, or the place where it is to be made."""
    receiver = Receiver(snapshot, link_name)
    domain = cloud.find_domain(receiver.domain_name)
    project = _replica_project(cloud, receiver, domain)
    networks = cloud.networks_of(project.id) if project else []
    network = _replica_network(receiver, networks)
    leaving = receiver.intent in {"Leave", "Refuse"}
    others = [n for n in networks if network is None or n.id != network.id]
    removable = network is None and (leaving or (domain is not None and not domain.enabled))
    return NetworkFacts(
        cloud.own_project_id(),
        network,
        subnets=tuple(cloud.subnets_of(network.id)) if network else (),
        ports=tuple(cloud.ports_of(network.id)) if network else (),
        domain=domain,
        project=project,
        quota=cloud.get_quota(project.id) if project and not leaving else None,
        project_is_empty=leaving and network is None and project is not None and cloud.project_is_empty(project.id),
        projects_in_domain=_projects(cloud, receiver, domain) if removable else 0,
        other_networks=len(others),
        other_subnets=_subnets_of(cloud, project, {n.id for n in others}) if not leaving else (),
    )


def peer_account(cluster: Cluster, cloud_id: str) -> Account:
    """What is there of the account that a peer reads with."""
    found = {}
    for wanted in account_manifests(cloud_id):
        kind, name = wanted["kind"], wanted["metadata"]["name"]
        try:
            there = cluster.get_manifest(wanted["apiVersion"], kind, name, names.peer_namespace(cloud_id))
        except Forbidden:  # the role that allows us to look is itself among what is missing
            there = None
        if there is not None:
            found[kind, name] = there
    return found


def _replica_project(cloud: NetworkCloud, receiver: Receiver, domain: Domain | None) -> Project | None:
    """By its ID on record, else by its mark in the peer's domain."""
    recorded = receiver.record.project_id
    found = cloud.get_project(recorded) if recorded else None
    if found is not None or domain is None or receiver.project_marker is None:
        return found
    return next((p for p in cloud.projects_of(domain.id) if p.description == receiver.project_marker), None)


def _replica_network(receiver: Receiver, networks: list[Network]) -> Network | None:
    """By its ID on record, else by the mark that is this record's own; only ever in the project that we made."""
    by_id = {network.id: network for network in networks}
    recorded = by_id.get(receiver.record.network_id or "")
    marked = (n for n in networks if n.description == receiver.replica_marker)
    return recorded or next(marked, None)


def _subnets_of(cloud: NetworkCloud, project: Project | None, network_ids: set[str]) -> tuple[Subnet, ...]:
    """Of these networks of a project, in one question."""
    if project is None or not network_ids:
        return ()
    return tuple(subnet for subnet in cloud.subnets_in_project(project.id) if subnet.network_id in network_ids)


def _projects(cloud: NetworkCloud, receiver: Receiver, domain: Domain | None) -> int:
    domain_id = receiver.own_domain_id(domain)
    try:
        return len(cloud.projects_of(domain_id)) if domain_id else 0
    except NotFound:
        return 0
