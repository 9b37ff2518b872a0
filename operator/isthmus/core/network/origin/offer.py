"""The origin's offer of one network, made from local facts only."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import get_args

from isthmus.core.network.subnet_record import ranges_of
from isthmus.core.placement.gateways import Gateway
from isthmus.model.api.v1alpha1.attachment import SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import (
    AddressMode,
    ExpansionLinkSpec,
    GroupMatching,
    HostRoute,
    NetworkIdentity,
    Offer,
    OfferedGroup,
    OfferedMember,
    OfferedProject,
    OfferedSubnet,
    SliceRange,
)
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice
from isthmus.model.facts.openstack import NetworkFacts, Subnet

_MAX_NAMESERVERS, _MAX_ROUTES = 16, 64
_MODES: tuple[AddressMode, ...] = get_args(AddressMode)


def offered_spec(
    own_cloud_id: str,
    peer_cloud_id: str,
    origin: NetworkIdentity,
    facts: NetworkFacts,
    record: Iterable[SubnetRecord],
    *,
    tunnel_id: int,
    mtu: int,
    gateway: Gateway | None,
    gateway_choice: GatewayChoice = "Origin",
    number: int | None = None,
    members: tuple[OfferedMember, ...] = (),
    routers: tuple[str, ...] = (),
    shared: tuple[str, ...] = (),
    group_matching: GroupMatching | None = None,
    carried_groups: tuple[OfferedGroup, ...] | None = None,
) -> ExpansionLinkSpec | None:
    """The spec of our link as it should be, `mtu` in bytes; None while network, project or slices are missing.

    `routers` are the addresses of this cloud's routers on the network, `shared` those that no member is to have.
    """
    record = tuple(record)
    subnets = tuple(s for subnet in facts.subnets if (s := _subnet(subnet, record, peer_cloud_id)) is not None)
    if facts.network is None or facts.project is None or not subnets:
        return None
    return ExpansionLinkSpec(
        cloud_id=own_cloud_id,
        peer_cloud_id=peer_cloud_id,
        origin=origin,
        offer=Offer(
            tunnel_id=tunnel_id,
            project=OfferedProject(id=facts.project.id, name=facts.project.name),
            network_name=facts.network.name,
            subnets=subnets,
            gateway_choice=gateway_choice,
            number=number,
            members=members,
            router_addresses=tuple(a for a in routers if ":" in a) if any(s.is_ipv6 for s in subnets) else (),
            shared_addresses=tuple(a for a in shared if any(ip_address(a) in ip_network(s.cidr) for s in subnets)),
            group_matching=group_matching,
            carried_groups=carried_groups,
        ),
        mtu=mtu,
        gateway=gateway.name if gateway else None,
    )


def _subnet(subnet: Subnet, record: Iterable[SubnetRecord], peer_cloud_id: str) -> OfferedSubnet | None:
    ranges = ranges_of(record, subnet.id, peer_cloud_id)
    if not ranges and not subnet.is_automatic:
        return None
    servers = [s for s in subnet.dns_nameservers if ip_address(s).version == subnet.ip_version]
    routes = [HostRoute(destination=d, nexthop=n) for d, n in subnet.host_routes if _is_of(subnet, d, n)]
    return OfferedSubnet(
        id=subnet.id,
        name=subnet.name,
        cidr=subnet.cidr,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=tuple(servers[:_MAX_NAMESERVERS]),
        host_routes=tuple(routes[:_MAX_ROUTES]),
        first=ranges[0].first if ranges else None,
        last=ranges[0].last if ranges else None,
        further_ranges=tuple(SliceRange(first=r.first, last=r.last) for r in ranges[1:]),
        ipv6_address_mode=next((mode for mode in _MODES if mode == subnet.address_mode), None),
    )


def _is_of(subnet: Subnet, destination: str, nexthop: str) -> bool:
    return {ip_network(destination).version, ip_address(nexthop).version} == {subnet.ip_version}
