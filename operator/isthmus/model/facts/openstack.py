"""Facts from OpenStack that planning needs, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """Addresses from `first` to `last`, both included, as text."""

    first: str
    last: str


@dataclass(frozen=True)
class Network:
    """A Neutron network."""

    id: str
    name: str
    project_id: str
    mtu: int
    description: str = ""
    shared: bool = False
    external: bool = False
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Subnet:
    """A Neutron subnet. `host_routes` are pairs of (destination, next hop)."""

    id: str
    name: str
    network_id: str
    project_id: str
    ip_version: int
    cidr: str
    gateway_ip: str | None
    pools: tuple[Range, ...]
    enable_dhcp: bool
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[tuple[str, str], ...] = ()
    description: str = ""


@dataclass(frozen=True)
class Port:
    """A Neutron port. `addresses` are its fixed IPs, `host` is binding:host_id."""

    id: str
    name: str
    network_id: str
    project_id: str
    mac: str
    addresses: tuple[str, ...]
    device_owner: str
    status: str
    host: str
    description: str = ""


@dataclass(frozen=True)
class Domain:
    """A Keystone domain."""

    id: str
    name: str
    description: str
    enabled: bool


@dataclass(frozen=True)
class Project:
    """A Keystone project."""

    id: str
    name: str
    domain_id: str
    description: str
    enabled: bool


@dataclass(frozen=True)
class NetworkQuota:
    """Neutron quotas of a project."""

    networks: int
    subnets: int
    ports: int


@dataclass(frozen=True)
class NetworkFacts:
    """One network, and for a replica its domain and project. Ports were listed after subnets."""

    own_project_id: str
    network: Network | None = None
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()
    domain: Domain | None = None
    """The domain for the peer's projects (receiver only)."""
    project: Project | None = None
    """The network's project: at the receiver the replica project."""
    quota: NetworkQuota | None = None
    project_is_empty: bool = False
    """Whether the replica project is empty; only determined once the replica network is deleted."""
    projects_in_domain: int = 0
    """The number of projects in the domain that Isthmus created; only determined if it may have to be deleted."""
    other_networks: int = 0
    """The number of networks in the replica project besides this one."""
    other_subnets: tuple[Subnet, ...] = ()
    """Their subnets; not determined if the replica is to be deleted."""
