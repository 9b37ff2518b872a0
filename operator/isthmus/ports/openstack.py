"""Keystone and Neutron of this cloud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from isthmus.model.facts.openstack import (
    AllowedTraffic,
    Domain,
    Network,
    NetworkQuota,
    Port,
    Project,
    Range,
    RequestedPort,
    SecurityGroup,
    Subnet,
)

SPARE_PORTS: Final = 50
"""Ports of the quota of the operator's project that stay free for attachment ports."""


class NetworkCloud(Protocol):
    """Keystone and Neutron of this cloud, with the operator's credential.

    Creating methods MUST set `description` in the creating request, and MUST NOT do anything that can fail after it:
    the description is the ownership marker by which a resource is found again if the process is killed before its ID
    is recorded; a port is found by its device owner. They are not idempotent, so planning looks before it creates.
    Deleting methods MUST NOT fail if the resource does not exist. Updating methods raise `NotFound` if it does not.
    Every method raises `Forbidden` if policy denies it.

    Methods that list what belongs to given IDs take any number of them, and MUST send nothing for none. They MUST split
    what does not fit into one request. Any thread may call any method.
    """

    def check(self) -> None:
        """Authenticate, and send Keystone and Neutron one small request each.

        Raises what keeps the operator from using OpenStack at all, with the clouds file and its entry named in the
        text: `Invalid` if the file does not describe one cloud and one region, `Forbidden` if the credential is
        rejected, `Unavailable` if a service does not answer.
        """
        ...

    def own_project_id(self) -> str:
        """ID of the project that the operator's credential is scoped to. `Invalid` if it is not scoped to one."""
        ...

    def get_network(self, network_id: str) -> Network | None:
        """One network; None if it does not exist."""
        ...

    def get_networks(self, *network_ids: str) -> list[Network]:
        """Those of the networks that exist, in any order."""
        ...

    def networks_shared_by_policy(self, *network_ids: str) -> frozenset[str]:
        """IDs of those that an RBAC policy shares with other projects; none if Neutron has no RBAC extension.

        `Network.shared` is true only for networks shared with all projects.
        """
        ...

    def networks_of(self, *project_ids: str) -> list[Network]:
        """All networks that the projects own."""
        ...

    def subnets_of(self, *network_ids: str) -> list[Subnet]:
        """All subnets of the networks."""
        ...

    def subnets_in_project(self, *project_ids: str) -> list[Subnet]:
        """All subnets that the projects own, of all their networks."""
        ...

    def ports_of(self, *network_ids: str) -> list[Port]:
        """All ports of the networks, of all projects. `Port.host` MUST be empty if the port could not be bound."""
        ...

    def network_summaries(self, *project_ids: str) -> Mapping[str, tuple[object, ...]] | None:
        """By ID, a summary of every network of the projects that changes with its name and allocation pools, and with
        the number of addresses that ports use. None if Neutron has no extension for it.

        Cheap for Neutron, so that it can be asked every few seconds.
        """
        ...

    def security_groups_of(self, *project_ids: str, with_rules: bool = False) -> list[SecurityGroup]:
        """All security groups that the projects own; none without Neutron's extension for them.

        Only for projects with a network: Neutron may create the default group of one that has none yet.
        """
        ...

    def port_groups_of(self, *network_ids: str) -> Mapping[str, frozenset[tuple[str, tuple[str, ...]]]]:
        """By network ID, the IDs of all ports with those of their security groups; nothing of a network without ports.

        For comparison with an earlier answer: much cheaper than `ports_of`.
        """
        ...

    def create_network(self, project_id: str, name: str, mtu: int, description: str) -> Network:
        """Create a network in the project; `mtu` in bytes. `Invalid` above the cloud's maximum; `QuotaExceeded`."""
        ...

    def set_network_mtu(self, network_id: str, mtu: int, revision: int | None = None) -> None:
        """Set the MTU in bytes. `Invalid` above the cloud's maximum; `Conflict` if the network has another revision."""
        ...

    def tag_network(self, network_id: str, tag: str) -> None:
        """Add a tag; no error if the network has it."""
        ...

    def delete_network(self, network_id: str) -> None:
        """Delete the network with its subnets and Neutron's own ports. `Conflict` if it has any other port."""
        ...

    def create_subnet(
        self,
        network_id: str,
        project_id: str,
        name: str,
        cidr: str,
        gateway_ip: str | None,
        pools: Sequence[Range],
        enable_dhcp: bool,
        dns_nameservers: Sequence[str],
        host_routes: Sequence[tuple[str, str]],
        description: str,
        address_mode: str | None = None,
    ) -> Subnet:
        """Create a subnet of the CIDR's IP version, with Neutron's pools if none are given.

        `address_mode` is the ipv6_address_mode; ipv6_ra_mode is unset. `gateway_ip` None: without a gateway;
        `host_routes`: (destination CIDR, next hop).

        `Conflict` if pools overlap or contain the gateway; `Invalid` if a pool is not inside the CIDR, or the CIDR
        overlaps another subnet of the network; `QuotaExceeded`.
        """
        ...

    def update_subnet(
        self,
        subnet_id: str,
        *,
        gateway_ip: str | None = None,
        pools: Sequence[Range] | None = None,
        enable_dhcp: bool | None = None,
        dns_nameservers: Sequence[str] | None = None,
        host_routes: Sequence[tuple[str, str]] | None = None,
        replaced_pools: Sequence[Range] | None = None,
        revision: int | None = None,
    ) -> None:
        """Replace the given fields; None leaves a field as it is, an empty gateway removes it. Errors as of
        `create_subnet`, and `Conflict` if another gateway is given while a router has a port with the present one.

        MUST raise `Conflict`, and change nothing, if the subnet does not have that revision, or the pools that are to
        be replaced, any more: not every release of Neutron counts a change of the pools as a revision.

        MUST NOT release addresses that are in use: ports outside the new pools keep theirs.
        """
        ...

    def delete_subnet(self, subnet_id: str) -> None:
        """Delete the subnet. `Conflict` if a port uses an address of it."""
        ...

    def create_attachment_port(self, network_id: str, host: str, name: str, description: str) -> Port:
        """Create the port that connects the network to br-cloud on `host` (a hostname as Neutron's agents report it).

        In the operator's project, without addresses, security groups and port security: it forwards other machines'
        frames. `Unavailable` if it could not be bound to the host; the port MUST NOT be left behind then, for Neutron
        does not retry the binding.
        """
        ...

    def update_attachment_port(self, port_id: str, description: str) -> None:
        """Enable the port, without security groups, port security and address pairs, as it was created."""
        ...

    def set_empty_qos_policy(self, port_id: str) -> None:
        """Give the port a QoS policy of the operator's project that has no rules, so that no other policy limits it.

        All ports get the same one, which is created for the first of them. `NotFound` if the port does not exist, or
        Neutron has no extension for QoS.
        """
        ...

    def create_gateway_port(self, network_id: str, subnet_id: str, address: str, name: str, description: str) -> Port:
        """Reserve the address of the origin's gateway, so that IPAM does not assign it to a machine here.

        In the operator's project, unbound. MUST have vnic_type `baremetal`: OVN answers ARP for all other ports, bound
        or not; and the policy of `set_empty_qos_policy` if Neutron allows it: else it refuses most policies for the
        network. `Conflict` if the address is in use, `Invalid` if it is not in the subnet.
        """
        ...

    def create_remote_ports(self, network_id: str, ports: Sequence[RequestedPort], description: str) -> None:
        """Create ports with the addresses and MAC addresses of machines in other clouds, all of them or none.

        In the operator's project, unbound, with vnic_type and QoS policy as in `create_gateway_port`, in exactly the
        security groups that are requested (any project's), with port security only if there are any. `NotFound` if a
        group does not exist. `Conflict` if an address or a MAC address is in use on the network, `Invalid` if an
        address is not in its subnet. MUST raise `QuotaExceeded`, and create nothing, if fewer than `SPARE_PORTS` would
        be left of the project's quota of ports: attachment ports need them.
        """
        ...

    def set_remote_port_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        """Put the port into exactly these security groups, with port security only if there are any.

        `NotFound` if the port or a group does not exist.
        """
        ...

    def create_security_group(self, project_id: str, name: str, description: str, *, stateful: bool) -> None:
        """Create a security group, to which Neutron adds rules that let everything out. `QuotaExceeded`."""
        ...

    def update_security_group(
        self, group_id: str, description: str, removed_rules: Sequence[str], added_rules: Sequence[AllowedTraffic]
    ) -> None:
        """Delete rules by ID, then add others, of which remote groups are IDs, and set the description at last.

        `NotFound` if the group, or a remote group in its project, does not exist; no error if a rule that is to be
        deleted does not. `QuotaExceeded`; `Invalid` for a rule that this Neutron does not take.
        """
        ...

    def delete_port(self, port_id: str) -> None:
        """Delete the port."""
        ...

    def find_domain(self, name: str) -> Domain | None:
        """The domain of exactly this name; None if there is none. MUST compare case-sensitively (Keystone does not)."""
        ...

    def create_domain(self, name: str, description: str) -> Domain:
        """Create an enabled domain. Returns the existing one if name and description are its; else `Conflict`."""
        ...

    def delete_domain(self, domain_id: str) -> None:
        """Disable the domain, which Keystone requires, look whether it is empty, and delete it.

        MUST raise `Conflict`, and enable it again, if it has any project, user or group: Keystone would delete them.
        """
        ...

    def get_project(self, project_id: str) -> Project | None:
        """One project; None if it does not exist."""
        ...

    def projects_of(self, domain_id: str) -> list[Project]:
        """All projects of the domain."""
        ...

    def create_project(self, domain_id: str, name: str, description: str) -> Project:
        """Create an enabled project. Returns the existing one of the domain if name and description are its.

        `Conflict` if the name is in use otherwise.
        """
        ...

    def delete_project(self, project_id: str) -> None:
        """Delete the project, after its quotas and the default security group that Neutron created for it.

        Neutron does not notice deleted projects and would keep both for ever.
        """
        ...

    def get_quota(self, project_id: str) -> NetworkQuota:
        """Neutron's quotas of the project; -1 is unlimited."""
        ...

    def get_quotas(self) -> Mapping[str, NetworkQuota]:
        """By project ID, the quotas of all projects for which any was set; the others have the cloud's defaults."""
        ...

    def set_quota(self, project_id: str, quota: NetworkQuota) -> None:
        """Set Neutron's quotas of the project."""
        ...

    def unseen_services(self) -> tuple[str, ...]:
        """Types of the services in the catalogue besides Keystone and Neutron: their resources are not seen here."""
        ...

    def project_is_empty(self, project_id: str) -> bool:
        """Whether the project owns nothing in Neutron except its default security group; True if it does not exist.

        Asked before a replica project is deleted: its users may have created resources of their own in it.
        """
        ...
