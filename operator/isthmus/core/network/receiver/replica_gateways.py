"""The gateways of the replica's subnets: which they should be, and why they cannot be changed at the moment.

Neutron refuses to change a subnet's gateway while a router has a port with the address (409, GatewayIpInUse). The
gateways of all subnets then stay as they are until the port is gone, so that they change together or not at all;
everything else of the offer is applied.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.core.network.addressing import ranges, spans_of, spans_of_addresses, subtract
from isthmus.core.network.router_addresses import router_ports
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.expansionlink import OfferedSubnet
from isthmus.model.facts.openstack import NetworkFacts, Range, Subnet
from isthmus.model.reasons import Reason

NEUTRAL_MESSAGE = "a router at the receiver has the gateway's address, and has to be detached before that can change"


def gateways(
    offered: Iterable[OfferedSubnet], replicas: Mapping[str, Subnet], facts: NetworkFacts
) -> Mapping[str, str | None]:
    """By CIDR, the gateway that each subnet of the replica gets now; `replicas` are those that exist, by CIDR."""
    offered = tuple(offered)
    wanted = {subnet.cidr: subnet.gateway_ip for subnet in offered}
    if gateway_problem(offered, replicas, facts) is None:
        return wanted
    return wanted | {cidr: replicas[cidr].gateway_ip for cidr in wanted if cidr in replicas}


def pools_of(offered: OfferedSubnet, gateway_ip: str | None) -> tuple[Range, ...]:
    """The replica's pools: the slice, without a gateway that is in it, which Neutron refuses in a pool."""
    return ranges(subtract(spans_of(offered.ranges), spans_of_addresses([gateway_ip] if gateway_ip else [])))


def gateway_problem(
    offered: Iterable[OfferedSubnet], replicas: Mapping[str, Subnet], facts: NetworkFacts
) -> Problem | None:
    """Why Neutron would refuse to change the gateways; None if they can be changed, or need not be."""
    holders = {address: port.id for port in router_ports(facts) for address in port.addresses}
    for subnet in offered:
        existing = replicas.get(subnet.cidr)
        if existing is None or existing.gateway_ip is None or existing.gateway_ip == subnet.gateway_ip:
            continue
        if existing.gateway_ip in holders:
            wanted = f"become {subnet.gateway_ip}" if subnet.gateway_ip else "be removed"
            return Problem(
                Reason.GATEWAY_IN_USE,
                f"port {holders[existing.gateway_ip]} of a router has {existing.gateway_ip}, the gateway of "
                f"{subnet.cidr}, which is to {wanted}: detach the router from the subnet",
            )
    return None
