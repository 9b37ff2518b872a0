"""To which peers IPv6 subnets are offered, and what a tenant should know of those that are."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from isthmus.core.federation.peer import has_feature
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.networkexpansion import GatewayChoice
from isthmus.model.facts.openstack import Subnet
from isthmus.model.protocol import Feature
from isthmus.model.reasons import Reason


def without_ipv6(
    snapshot: Snapshot, cloud_ids: Iterable[str], chosen: Mapping[str, GatewayChoice]
) -> Mapping[str, Problem]:
    """Why peers are offered no IPv6 subnet, by cloud ID.

    Machines find their router, and mostly their prefix, by router advertisements of the origin: without its gateway
    there would be no addresses, and with them a gateway.
    """
    problems: dict[str, Problem] = {}
    for cloud_id in cloud_ids:
        if not has_feature(snapshot, cloud_id, Feature.IPV6):
            text = f"{cloud_id} does not know IPv6 subnets yet: they stay here until its Isthmus is upgraded"
            problems[cloud_id] = Problem(Reason.PEER_TOO_OLD, text)
        elif chosen.get(cloud_id) == "None":
            text = f"{cloud_id} has no gateway (`gateway: None`), and IPv6 needs the origin's"
            problems[cloud_id] = Problem(Reason.IPV6_NEEDS_ORIGIN, text)
    return problems


def left_by_origin(
    cloud_ids: Iterable[str], chosen: Mapping[str, GatewayChoice], subnets: Collection[Subnet]
) -> Iterable[Problem]:
    """What is not as the tenant chose: a prefix of this cloud cannot leave by another one's router."""
    cidrs = ", ".join(subnet.cidr for subnet in subnets if subnet.ip_version == 6)
    for cloud_id in cloud_ids if cidrs else ():
        if chosen.get(cloud_id) == "Local":
            text = f"machines of {cloud_id} leave {cidrs} by the origin's router: `gateway: Local` is for IPv4"
            yield Problem(Reason.IPV6_NEEDS_ORIGIN, text)
