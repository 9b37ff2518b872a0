"""Facts of OpenStack that planning needs: plain frozen values, as Neutron and Keystone tell them."""

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
    """What OpenStack says about one network, and about where its copy lies. Ports were listed after subnets."""

    own_project_id: str
    network: Network | None = None
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()
    domain: Domain | None = None
    """The domain for the peer's projects (receiver only)."""
    project: Project | None = None
    """The copy of the peer's project (receiver only)."""
    quota: NetworkQuota | None = None
    project_is_empty: bool = False
    """Whether the copy of the project holds nothing more; asked only when the copy of the network is gone."""
    projects_in_domain: int = 0
    """Of the domain that we made; asked only where it may have to go."""
    other_networks: int = 0
    """Networks of the copied project besides this one."""
    other_subnets: tuple[Subnet, ...] = ()
    """Their subnets; not asked where the copy is to go."""
