"""The origin's offer of one network, made from local facts only."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.federation.agreement import own_tunnel_ids
from isthmus.core.network.slices import ranges_of
from isthmus.core.placement.gateways import Gateway
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.v1alpha1.attachment import SubnetRecord
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import (
    ExpansionLinkSpec,
    HostRoute,
    NetworkIdentity,
    Offer,
    OfferedMember,
    OfferedProject,
    OfferedSubnet,
    SliceRange,
)
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice
from isthmus.model.facts.openstack import NetworkFacts, Subnet

_MAX_NAMESERVERS, _MAX_ROUTES = 16, 64


def next_tunnel_id(snapshot: Snapshot, peer: CloudPeer) -> int | None:
    """The lowest tunnel ID of our part of the range without a link of ours to the peer, withdrawn links included."""
    return next(iter(next_tunnel_ids(snapshot, peer, 1)), None)


def next_tunnel_ids(snapshot: Snapshot, peer: CloudPeer, count: int) -> tuple[int, ...]:
    """The lowest ones, as many as there are of so many."""
    cloud_id = peer.spec.cloud_id
    allowed = own_tunnel_ids(peer.spec.tunnel.id_range, snapshot.own.cloud_id, cloud_id)
    return snapshot.unused_tunnel_ids(cloud_id, allowed, count)


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
) -> ExpansionLinkSpec | None:
    """The spec of our link as it should be, `mtu` in bytes; None while network, project or slices are missing."""
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
        ),
        mtu=mtu,
        gateway=gateway.name if gateway else None,
    )


def _subnet(subnet: Subnet, record: Iterable[SubnetRecord], peer_cloud_id: str) -> OfferedSubnet | None:
    ranges = ranges_of(record, subnet.id, peer_cloud_id)
    if not ranges:
        return None
    servers = [s for s in subnet.dns_nameservers if ":" not in s]
    routes = [HostRoute(destination=d, nexthop=n) for d, n in subnet.host_routes if ":" not in d + n]
    return OfferedSubnet(
        id=subnet.id,
        name=subnet.name,
        cidr=subnet.cidr,
        gateway_ip=subnet.gateway_ip,
        enable_dhcp=subnet.enable_dhcp,
        dns_nameservers=tuple(servers[:_MAX_NAMESERVERS]),
        host_routes=tuple(routes[:_MAX_ROUTES]),
        first=ranges[0].first,
        last=ranges[0].last,
        further_ranges=tuple(SliceRange(first=r.first, last=r.last) for r in ranges[1:]),
    )
