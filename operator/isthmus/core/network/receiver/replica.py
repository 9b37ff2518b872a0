"""The replica of a peer's network: domain, project, quotas, network, subnets with our slices, reserved gateways."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from isthmus.core.network.addressing import contains, spans_of
from isthmus.core.network.attachment import (
    attachment_ports,
    gateway_ports,
    network_identity,
    new_attachment,
    remote_ports,
    tenant_ports,
)
from isthmus.model import names
from isthmus.model.actions import (
    Action,
    ApplyObject,
    CreateDomain,
    CreateGatewayPort,
    CreateNetwork,
    CreateProject,
    CreateSubnet,
    DeleteDomain,
    DeleteNetwork,
    DeletePort,
    DeleteSubnet,
    Problem,
    SetNetworkMTU,
    SetQuota,
    TagNetwork,
    UpdateSubnet,
)
from isthmus.model.api.v1alpha1.attachment import AttachmentSpec, Record, SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import OfferedSubnet
from isthmus.model.facts.openstack import NetworkFacts, NetworkQuota, Port, Subnet

from .project import is_partially_removed, not_usable
from .replica_gateways import gateway_problem, gateways, pools_of
from .state import Receiver

Actions = tuple[Action, ...]


def create_attachment(receiver: Receiver) -> Actions:
    """Create the Attachment before anything in OpenStack: its record says what to look for after a crash."""
    if receiver.attachment is not None or receiver.offer is None or receiver.agreed_mtu is None:
        return ()
    record = Record(origin_project_id=receiver.offer.project.id)
    spec = AttachmentSpec(origin=network_identity(receiver.name), role="Receiver", record=record)
    return (ApplyObject(new_attachment(receiver.name, spec)),)


def ensure_domain(receiver: Receiver) -> Actions:
    """Create the peer's domain, which all its replica projects share.

    A crash between the two calls that delete an empty domain leaves it disabled: it is deleted and recreated.
    """
    facts = receiver.facts
    if receiver.attachment is None or facts is None or not_usable(receiver) is not None:
        return ()
    if facts.domain is None:
        return (CreateDomain(receiver.domain_name, names.domain_marker(receiver.cloud_id)),)
    return (DeleteDomain(facts.domain.id),) if is_partially_removed(receiver, facts) else ()


def ensure_project(receiver: Receiver) -> Actions:
    """Create the replica of the origin's project."""
    facts, offer, marker = receiver.facts, receiver.offer, receiver.project_marker
    if facts is None or facts.domain is None or facts.project is not None or offer is None or marker is None:
        return ()
    if not_usable(receiver) is not None:
        return ()
    return (CreateProject(facts.domain.id, names.project_name(offer.project.name, offer.project.id), marker),)


def ensure_network(receiver: Receiver) -> Actions:
    """Set the agreed quotas, then create the replica network with the origin's name."""
    facts, offer, mtu, peer = receiver.facts, receiver.offer, receiver.agreed_mtu, receiver.peer
    marker = receiver.replica_marker
    if facts is None or facts.project is None or offer is None or mtu is None or peer is None or marker is None:
        return ()
    agreed = peer.spec.agreement.quotas_of(receiver.origin_project_id)
    quota = NetworkQuota(networks=agreed.networks, subnets=agreed.subnets, ports=agreed.ports)
    first = () if facts.quota in (None, quota) else (SetQuota(facts.project.id, quota),)
    if facts.network is not None or not_usable(receiver) is not None:
        return first
    return (*first, CreateNetwork(facts.project.id, offer.network_name, mtu, marker))


def ensure_subnets_and_tag(receiver: Receiver) -> Actions:
    """Everything that needs only the network: its tag, the record of its ID, its subnets."""
    return delete_duplicates(receiver) + tag(receiver) + write_record(receiver) + ensure_subnets(receiver)


def delete_duplicates(receiver: Receiver) -> Actions:
    """Delete further replicas that nobody uses: one whose creation was reported too late, or by a second controller.

    The one that is recorded stays, or else the oldest.
    """
    facts = receiver.facts
    if facts is None:
        return ()
    duplicates = replace(facts, ports=facts.duplicate_ports)
    used = {p.network_id for p in tenant_ports(duplicates)}
    unused = [network.id for network in facts.duplicate_networks if network.id not in used]
    ours = gateway_ports(duplicates) + attachment_ports(duplicates) + remote_ports(duplicates)
    ports = (DeletePort(port.id) for port in ours if port.network_id in unused)
    return (*ports, *(DeleteNetwork(network_id) for network_id in unused))


def tag(receiver: Receiver) -> Actions:
    """Add a tag for administrators; replicas are recognised by ID and ownership marker, never by the tag."""
    network = receiver.facts.network if receiver.facts else None
    if network is None or names.NEUTRON_TAG in network.tags:
        return ()
    return (TagNetwork(network.id, names.NEUTRON_TAG),)


def write_record(receiver: Receiver) -> Actions:
    """Record the IDs of what was created; a port that somebody deleted stays recorded until there is another one."""
    attachment, facts = receiver.attachment, receiver.facts
    if attachment is None or facts is None or facts.network is None or facts.project is None or facts.domain is None:
        return ()
    record = Record(
        origin_project_id=receiver.record.origin_project_id,
        domain_id=facts.domain.id if receiver.domain_is_ours else None,
        project_id=facts.project.id,
        network_id=facts.network.id,
        subnets=_subnet_records(receiver, facts),
    )
    if record == attachment.spec.record:
        return ()
    return (ApplyObject(new_attachment(receiver.name, attachment.spec.model_copy(update={"record": record}))),)


def ensure_subnets(receiver: Receiver) -> Actions:
    """Create or update the offered subnets; delete unused ones that are not offered any more."""
    facts, offer = receiver.facts, receiver.offer
    if facts is None or facts.network is None or offer is None:
        return ()
    ours = {subnet.cidr: subnet for subnet in replica_subnets(receiver, facts)}
    wanted = gateways(offer, ours, facts)
    created = (
        _ensure_subnet(ours.get(offered.cidr), offered, wanted[offered.cidr], facts, receiver.name)
        for offered in offer.subnets
    )
    offered_cidrs = {offered.cidr for offered in offer.subnets}
    withdrawn = [subnet for cidr, subnet in ours.items() if cidr not in offered_cidrs and not _in_use(subnet, facts)]
    removed = (action for subnet in withdrawn for action in _removal(subnet, facts))
    return (*(action for action in created if action is not None), *removed)


def reserve_gateways(receiver: Receiver) -> Actions:
    """Reserve each gateway address by a port of ours, so that no local router or machine gets it."""
    facts, offer = receiver.facts, receiver.offer
    if facts is None or facts.network is None or offer is None:
        return ()
    ours = {subnet.cidr: subnet for subnet in replica_subnets(receiver, facts)}
    wanted = {s.gateway_ip: ours[s.cidr] for s in offer.subnets if s.gateway_ip and _reserves(s) and s.cidr in ours}
    existing = _reserved(facts)
    marker = names.marker(receiver.name)
    created = (
        CreateGatewayPort(facts.network.id, subnet.id, address, "isthmus-gateway", marker)
        for address, subnet in wanted.items()
        if address not in existing
    )
    return (*created, *(DeletePort(port.id) for address, port in existing.items() if address not in wanted))


def _reserves(offered: OfferedSubnet) -> bool:
    """Whether a port can have the gateway's address, and any other could get it.

    Where machines form their addresses, Neutron lets routers alone choose one, as it does with the address of an IPv6
    subnet itself (RFC 4291, 2.6.1); a link-local one is in no subnet.
    """
    if offered.gateway_ip is None or offered.is_automatic:
        return False
    network, gateway = ip_network(offered.cidr), ip_address(offered.gateway_ip)
    return gateway in network and not (network.version == 6 and gateway == network.network_address)


def _reserved(facts: NetworkFacts) -> dict[str, Port]:
    """The ports that reserve gateways, by address; Neutron also gives each one that is formed from its MAC address."""
    automatic = [ip_network(subnet.cidr) for subnet in facts.subnets if subnet.is_automatic]
    return {
        address: port
        for port in gateway_ports(facts)
        for address in port.addresses
        if not any(ip_address(address) in network for network in automatic)
    }


def is_complete(receiver: Receiver) -> bool:
    """Whether the replica is as offered."""
    facts = receiver.facts
    if facts is None or facts.network is None:
        return False
    return not (ensure_subnets(receiver) or reserve_gateways(receiver))


def gateways_in_use(receiver: Receiver) -> Problem | None:
    """Why the replica cannot have the gateways that are offered now; None if it has, or can."""
    facts, offer = receiver.facts, receiver.offer
    if facts is None or facts.network is None or offer is None:
        return None
    return gateway_problem(offer, {s.cidr: s for s in replica_subnets(receiver, facts)}, facts)


def local_gateways(receiver: Receiver) -> tuple[str, ...]:
    """The gateways of the replica that are this cloud's own, which are in its slices; ordered."""
    facts, offer = receiver.facts, receiver.offer
    if facts is None or offer is None:
        return ()
    ours, slices = replica_subnets(receiver, facts), spans_of(offer.ranges)
    found = {s.gateway_ip for s in ours if s.gateway_ip and contains(slices, s.gateway_ip)}
    return tuple(sorted(found))


def set_mtu(receiver: Receiver) -> Actions:
    """Set the agreed MTU on the replica."""
    network = receiver.facts.network if receiver.facts else None
    if network is None or receiver.agreed_mtu is None or network.mtu == receiver.agreed_mtu:
        return ()
    return (SetNetworkMTU(network.id, receiver.agreed_mtu, network.revision),)


def replica_subnets(receiver: Receiver, facts: NetworkFacts) -> tuple[Subnet, ...]:
    """The subnets that we created: by ownership marker or recorded ID, since a tenant may change the description."""
    marker, recorded = names.marker(receiver.name), {entry.id for entry in receiver.record.subnets}
    return tuple(subnet for subnet in facts.subnets if subnet.description == marker or subnet.id in recorded)


def _ensure_subnet(
    existing: Subnet | None, offered: OfferedSubnet, gateway_ip: str | None, facts: NetworkFacts, link_name: str
) -> Action | None:
    if facts.network is None:
        return None
    pools = pools_of(offered, gateway_ip)
    routes = tuple((route.destination, route.nexthop) for route in offered.host_routes)
    if existing is None:
        return CreateSubnet(
            facts.network.id,
            facts.network.project_id,
            offered.name,
            offered.cidr,
            gateway_ip,
            pools,
            offered.enable_dhcp,
            offered.dns_nameservers,
            routes,
            names.marker(link_name),
            offered.ipv6_address_mode,
        )
    same_sets = set(existing.dns_nameservers) == set(offered.dns_nameservers) and set(existing.host_routes) == set(
        routes
    )
    present = existing.gateway_ip, existing.enable_dhcp
    same_pools = offered.is_automatic or spans_of(existing.pools) == spans_of(pools)
    if same_sets and same_pools and present == (gateway_ip, offered.enable_dhcp):
        return None
    new_pools = None if offered.is_automatic else pools
    return UpdateSubnet(
        existing.id, gateway_ip, new_pools, offered.enable_dhcp, offered.dns_nameservers, routes, existing.revision
    )


def _in_use(subnet: Subnet, facts: NetworkFacts) -> bool:
    network = ip_network(subnet.cidr)
    return any(ip_address(a) in network for port in tenant_ports(facts) for a in port.addresses)


def _removal(subnet: Subnet, facts: NetworkFacts) -> Actions:
    """Delete a subnet, after the port that reserves its gateway, and remote ports."""
    network = ip_network(subnet.cidr)
    reserved = [port for address, port in _reserved(facts).items() if ip_address(address) in network]
    reserved += (p for p in remote_ports(facts) if any(ip_address(a) in network for a in p.addresses))
    return (*(DeletePort(port.id) for port in reserved), DeleteSubnet(subnet.id))


def _subnet_records(receiver: Receiver, facts: NetworkFacts) -> tuple[SubnetRecord, ...]:
    offered = {subnet.cidr: subnet for subnet in receiver.offer.subnets} if receiver.offer else {}
    reserved = {address: port.id for address, port in _reserved(facts).items()}
    before = {entry.id: entry.gateway_port_id for entry in receiver.record.subnets}
    return tuple(
        SubnetRecord(
            id=subnet.id,
            origin_id=offered[subnet.cidr].id,
            cidr=subnet.cidr,
            gateway_port_id=reserved.get(offered[subnet.cidr].gateway_ip or "", before.get(subnet.id)),
        )
        for subnet in sorted(replica_subnets(receiver, facts), key=lambda s: s.id)
        if subnet.cidr in offered
    )
