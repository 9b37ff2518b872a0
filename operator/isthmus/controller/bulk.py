"""Facts about many networks from few requests: lists for all of them, and what networks share, asked once a round."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.remote_link import origin_of
from isthmus.core.network.security_groups import may_carry_groups, may_match_groups
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.errors import ExternalError
from isthmus.model.facts.openstack import Domain, Network, NetworkQuota, Port, Project, SecurityGroup, Subnet
from isthmus.ports import Clock, NetworkCloud

# Only the name of a tenant's project is of interest, and it hardly ever changes.
_PROJECT_SECONDS: Final = 600.0
_PROJECT_PAUSE_SECONDS: Final = 2.0  # between two requests for projects that are known

V = TypeVar("V")
R = TypeVar("R", Subnet, Port)


@dataclass
class _KnownProject:
    """A project, or None if there is none, and when it was asked for and last of interest (monotonic seconds)."""

    project: Project | None
    asked_at: float
    used_at: float


class SharedFacts:
    """Domains, projects and quotas, each asked again after `max_age_seconds`. Safe to use from several threads."""

    def __init__(self, cloud: NetworkCloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self.max_age_seconds = 0.0
        self._found: dict[tuple[str, str], tuple[float, object]] = {}
        self._projects: dict[str, _KnownProject] = {}
        self._next_project_at = 0.0

    def find_domain(self, name: str) -> Domain | None:
        """See `NetworkCloud.find_domain`."""
        return self._remembered("domain", name, self.max_age_seconds, lambda: self._cloud.find_domain(name))

    def projects_of(self, domain_id: str) -> Sequence[Project]:
        """See `NetworkCloud.projects_of`."""
        return self._remembered("projects", domain_id, self.max_age_seconds, lambda: self._cloud.projects_of(domain_id))

    def get_project(self, project_id: str) -> Project | None:
        """See `NetworkCloud.get_project`. Known projects are asked for again one by one, not all at the same time."""
        now = self._clock.monotonic_seconds()
        known = self._projects.get(project_id)
        if known is None:
            known = self._projects[project_id] = _KnownProject(self._cloud.get_project(project_id), now, now)
        elif now - known.asked_at >= _PROJECT_SECONDS and now >= self._next_project_at:
            self._next_project_at = now + _PROJECT_PAUSE_SECONDS
            known.project, known.asked_at = self._cloud.get_project(project_id), now
        known.used_at = now
        return known.project

    def get_quota(self, project_id: str) -> NetworkQuota:
        """See `NetworkCloud.get_quota`."""
        of_all = self._remembered("quotas", "", self.max_age_seconds, self._cloud.get_quotas)
        # Without an entry a project has the defaults, which change with the configuration of Neutron.
        return of_all.get(project_id) or self._remembered(
            "quota", project_id, _PROJECT_SECONDS, lambda: self._cloud.get_quota(project_id)
        )

    def clear(self) -> None:
        """Ask for everything again but projects by their IDs."""
        self._found = {}

    def drop_old(self) -> None:
        """Forget what would be asked again, so that nothing is kept of projects that are gone."""
        now, oldest = self._clock.monotonic_seconds(), max(_PROJECT_SECONDS, self.max_age_seconds)
        kept = list(self._found.items())
        self._found = {key: (at, value) for key, (at, value) in kept if now - at < oldest}
        projects = list(self._projects.items())
        self._projects = {id_: known for id_, known in projects if now - known.used_at < oldest}

    def _remembered(self, kind: str, key: str, max_age_seconds: float, ask: Callable[[], V]) -> V:
        now = self._clock.monotonic_seconds()
        at, value = self._found.get((kind, key), (None, None))
        if at is None or now - at >= max_age_seconds:
            value = ask()
            self._found[kind, key] = (now, value)
        return value  # type: ignore[return-value]


@dataclass(frozen=True)
class BulkReader:
    """Answers what `origin_facts` and `receiver_facts` ask about some networks, from lists read at construction."""

    cloud: NetworkCloud
    shared: SharedFacts
    snapshot: Snapshot
    link_names: Sequence[str]
    _networks: dict[str, Network] = field(default_factory=dict)
    _by_project: dict[str, list[Network]] = field(default_factory=lambda: defaultdict(list))
    _subnets: dict[str, list[Subnet]] = field(default_factory=dict)
    _in_project: dict[str, list[Subnet]] = field(default_factory=dict)
    _ports: dict[str, list[Port]] = field(default_factory=dict)
    _listed: set[str] = field(default_factory=set)
    """IDs of the networks whose ports were listed: not those of duplicates."""
    _groups: dict[str, list[SecurityGroup]] = field(default_factory=lambda: defaultdict(list))
    """By project, of the projects with a network whose groups are matched by name."""
    _shared_by_policy: set[str] = field(default_factory=set)
    _replica_projects: dict[str, Project] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)
    """Link names of the networks that need security groups, if Neutron does not list these."""

    def __post_init__(self) -> None:
        """List networks, then subnets, then ports, as for one network. Raises ExternalError."""
        origins, replicas, projects = self._recorded()
        for network in self.cloud.get_networks(*origins):
            self._networks[network.id] = network
        for network in self.cloud.networks_of(*projects):
            self._by_project[network.project_id].append(network)
        ids = (*self._networks, *replicas)
        self._subnets.update(_grouped(self.cloud.subnets_of(*ids)))
        for subnet in self.cloud.subnets_in_project(*projects):
            self._in_project.setdefault(subnet.project_id, []).append(subnet)
        self._listed.update(ids)
        self._ports.update(_grouped(self.cloud.ports_of(*ids)))
        self._list_groups()
        own = self.snapshot.own.cloud_id
        starting = [i for i in self._networks if self.snapshot.attachment(f"{own}.{i}") is None]
        self._shared_by_policy.update(self.cloud.networks_shared_by_policy(*starting))
        for domain_name in {Receiver(self.snapshot, name).domain_name for name in self._received()}:
            domain = self.shared.find_domain(domain_name)
            projects_of_peer = self.shared.projects_of(domain.id) if domain is not None else ()
            self._replica_projects.update({project.id: project for project in projects_of_peer})

    def _list_groups(self) -> None:
        matched = {name for name in self.link_names if may_match_groups(self.snapshot, name)}
        carried = self._projects_of({name for name in matched if may_carry_groups(self.snapshot, name)})
        try:
            for group in (
                *self.cloud.security_groups_of(*sorted(self._projects_of(matched) - carried)),
                *self.cloud.security_groups_of(*sorted(carried), with_rules=True),
            ):
                self._groups[group.project_id].append(group)
        except ExternalError:
            self.unanswered.update(matched)

    def own_project_id(self) -> str:
        """See `NetworkCloud`; so are the others."""
        return self.cloud.own_project_id()

    def get_network(self, network_id: str) -> Network | None:
        return self._networks.get(network_id)

    def networks_shared_by_policy(self, *network_ids: str) -> frozenset[str]:
        return frozenset(network_ids) & self._shared_by_policy

    def networks_of(self, *project_ids: str) -> list[Network]:
        return [network for id_ in project_ids for network in self._by_project.get(id_, ())]

    def subnets_of(self, *network_ids: str) -> list[Subnet]:
        return [subnet for id_ in network_ids for subnet in self._subnets.get(id_, ())]

    def subnets_in_project(self, *project_ids: str) -> list[Subnet]:
        return [subnet for id_ in project_ids for subnet in self._in_project.get(id_, ())]

    def ports_of(self, *network_ids: str) -> list[Port]:
        listed = [port for id_ in network_ids for port in self._ports.get(id_, ())]
        unlisted = (id_ for id_ in network_ids if id_ not in self._listed)
        return [*listed, *self.cloud.ports_of(*unlisted)]

    def security_groups_of(self, *project_ids: str, with_rules: bool = False) -> list[SecurityGroup]:
        """With rules of the projects of which any network carries its groups."""
        del with_rules
        return [group for id_ in project_ids for group in self._groups.get(id_, ())]

    def find_domain(self, name: str) -> Domain | None:
        return self.shared.find_domain(name)

    def get_project(self, project_id: str) -> Project | None:
        return self._replica_projects.get(project_id) or self.shared.get_project(project_id)

    def projects_of(self, domain_id: str) -> Sequence[Project]:
        return self.shared.projects_of(domain_id)

    def get_quota(self, project_id: str) -> NetworkQuota:
        return self.shared.get_quota(project_id)

    def project_is_empty(self, project_id: str) -> bool:
        return self.cloud.project_is_empty(project_id)

    def unseen_services(self) -> tuple[str, ...]:
        return self.cloud.unseen_services()

    def _recorded(self) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
        """IDs of our own networks, of replicas, and of the projects of replicas."""
        own = self.snapshot.own.cloud_id
        attachments = (self.snapshot.attachment(name) for name in self._received())
        records = [attachment.spec.record for attachment in attachments if attachment is not None]
        return (
            tuple(name.partition(".")[2] for name in self.link_names if origin_of(name) == own),
            tuple(record.network_id for record in records if record.network_id),
            tuple({record.project_id for record in records if record.project_id}),
        )

    def _projects_of(self, matched: Collection[str]) -> set[str]:
        """IDs of the projects of these networks."""
        own = {n.project_id for n in self._networks.values() if f"{self.snapshot.own.cloud_id}.{n.id}" in matched}
        attachments = (self.snapshot.attachment(name) for name in self._received() if name in matched)
        records = (attachment.spec.record for attachment in attachments if attachment is not None)
        return own | {record.project_id for record in records if record.project_id}

    def _received(self) -> list[str]:
        return [name for name in self.link_names if origin_of(name) != self.snapshot.own.cloud_id]


def is_bulk_readable(snapshot: Snapshot, link_name: str) -> bool:
    """Whether lists by recorded IDs answer everything: a replica that is being created or removed has more to ask."""
    if origin_of(link_name) == snapshot.own.cloud_id:
        return True
    attachment = snapshot.attachment(link_name)
    return attachment is not None and attachment.spec.record.network_id is not None


def _grouped(found: Iterable[R]) -> Mapping[str, list[R]]:
    """Subnets or ports by network ID."""
    groups: dict[str, list[R]] = {}
    for resource in found:
        groups.setdefault(resource.network_id, []).append(resource)
    return groups
