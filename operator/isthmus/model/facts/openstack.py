"""Facts from OpenStack that planning needs, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field

AUTOMATIC_MODES = frozenset({"slaac", "dhcpv6-stateless"})
"""Values of ipv6_address_mode with which a machine forms its address itself."""


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
    admin_state_up: bool = True
    network_type: str | None = None
    """provider:network_type; None if Neutron does not show it."""
    segments: int = 1
    """The number of segments that Neutron composes the network of."""
    l2_adjacency: bool = True
    """False for a routed provider network."""
    vlan_transparent: bool = False
    qinq: bool = False
    private_vlan: bool = False
    """Attribute pvlan of Neutron 29 (2026.1): ports are isolated from each other on one segment."""
    qos_policy_id: str | None = None
    """The QoS policy that applies to all ports without one of their own."""
    revision: int | None = field(default=None, compare=False)
    """revision_number, which every change increments; None if Neutron has no revisions."""
    created_at: str = field(default="", compare=False)


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
    segment_id: str | None = None
    """The segment that the subnet is bound to; None unless the network is a routed provider network."""
    omitted: tuple[str, ...] = ()
    """Host routes and name servers that are no addresses, as text."""
    address_mode: str | None = None
    """How machines get addresses of an IPv6 subnet: `slaac`, `dhcpv6-stateless`, `dhcpv6-stateful`; None if Neutron
    does not serve them, and of IPv4."""
    prefix_is_delegated: bool = False
    """Whether Neutron gets the prefix from elsewhere (DHCPv6 prefix delegation), and may change it."""
    pools_are_known: bool = True
    """False if a pool is not a range of addresses: then the pools must not be written."""
    revision: int | None = field(default=None, compare=False)
    """revision_number, which every change increments; None if Neutron has no revisions."""

    @property
    def is_automatic(self) -> bool:
        """Whether machines form their addresses from their MAC addresses (EUI-64); then the pools have no say."""
        return self.address_mode in AUTOMATIC_MODES


@dataclass(frozen=True)
class Port:
    """A Neutron port. `addresses` are its fixed IPs, `host` is binding:host_id, empty if the port could not be bound.

    `mac` is empty if it is not a MAC address.
    """

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
    admin_state_up: bool = True
    port_security_enabled: bool = True
    allowed_addresses: tuple[str, ...] = ()
    """Addresses and CIDRs of allowed_address_pairs: the port may use them in addition to its fixed IPs."""
    omitted: tuple[str, ...] = ()
    """What of it is no address, as text."""
    groups: tuple[str, ...] = ()
    """IDs of its security groups, in order."""
    qos_policy_id: str | None = None
    """The QoS policy of its own, which takes precedence over the network's."""

    @property
    def passes_all_frames(self) -> bool:
        """As an attachment port has to: it carries those of other machines."""
        return self.admin_state_up and not self.port_security_enabled


@dataclass(frozen=True)
class AllowedTraffic:
    """What a rule of a security group allows, of one IP version and in one direction."""

    direction: str
    """`ingress` or `egress`, as a machine sees it."""
    ip_version: int
    protocol: int | None = None
    """Of IP (IANA's protocol numbers); None: any."""
    first: int | None = None
    """First port; of ICMP the type. None: any."""
    last: int | None = None
    """Last port; of ICMP the code. None: any."""
    remote_prefix: str | None = None
    """CIDR of whom it is allowed from or to."""
    remote_group: str | None = None
    """The security group of whom it is allowed from or to. Without either: anybody."""


@dataclass(frozen=True)
class SecurityGroupRule:
    """A rule of a security group. `allowed.remote_group` is an ID."""

    id: str
    allowed: AllowedTraffic | None
    """None if it cannot be said exactly, such as of a remote address group."""


@dataclass(frozen=True)
class SecurityGroup:
    """A security group of Neutron. `name` is exactly as Neutron has it, also if it is not printable."""

    id: str
    name: str
    project_id: str
    stateful: bool = True
    description: str = ""
    revision: int | None = None
    """revision_number, which every change of the group and of its rules increments."""
    rules: tuple[SecurityGroupRule, ...] | None = None
    """By ID; None if they were not asked for."""


@dataclass(frozen=True)
class RequestedPort:
    """A port to create for a machine of another member. `addresses` are pairs of (subnet ID, address).

    `groups` are the IDs of the security groups that it is to be in.
    """

    name: str
    mac: str
    addresses: tuple[tuple[str, str], ...]
    groups: tuple[str, ...] = ()


Created = Network | Subnet | Port
"""What Neutron returns when it has created it."""


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
    unseen_services: tuple[str, ...] = ()
    """Types of services besides Keystone and Neutron, which may hold resources of the replica project; determined
    with `project_is_empty`."""
    duplicate_networks: tuple[Network, ...] = ()
    """Further networks with the replica's ownership marker: a creation that was done twice."""
    duplicate_ports: tuple[Port, ...] = ()
    """The ports of these networks."""
    other_networks: int = 0
    """The number of networks in the replica project besides this one and its duplicates."""
    other_subnets: tuple[Subnet, ...] = ()
    """Their subnets; not determined if the replica is to be deleted."""
    groups: tuple[SecurityGroup, ...] | None = None
    """The security groups of the network's project, by ID; None if they were not asked for."""
