"""The gateways of the replica's subnets: which they should be, and why they cannot be changed at the moment.

Neutron refuses to change a subnet's gateway while a router has a port with the address (409, GatewayIpInUse). The
gateways of all subnets then stay as they are until the port is gone, so that they change together or not at all;
everything else of the offer is applied.
"""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.core.network.addressing import address_of, contains, ranges, spans_of, spans_of_addresses, subtract
from isthmus.core.network.router_addresses import router_ports
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.expansionlink import Offer, OfferedSubnet
from isthmus.model.facts.openstack import NetworkFacts, Range, Subnet
from isthmus.model.reasons import Reason

NEUTRAL_MESSAGE = (
    "the gateways at the receiver cannot be changed yet: a router there has the address of one, or no address of the "
    "slice is free for one"
)

Replicas = Mapping[str, Subnet]
"""The subnets of the replica that exist, by CIDR."""


def gateways(offer: Offer, replicas: Replicas, facts: NetworkFacts) -> Mapping[str, str | None]:
    """By CIDR, the gateway that each subnet of the replica gets now."""
    wanted = {subnet.cidr: _wanted(offer, subnet, replicas.get(subnet.cidr), facts) for subnet in offer.subnets}
    if gateway_problem(offer, replicas, facts) is None:
        return wanted
    return wanted | {cidr: replicas[cidr].gateway_ip for cidr in wanted if cidr in replicas}


def pools_of(offered: OfferedSubnet, gateway_ip: str | None) -> tuple[Range, ...]:
    """The replica's pools: the slice, without a gateway that is in it, which Neutron refuses in a pool.

    Empty if there are no slices: then the pools have no say.
    """
    return ranges(subtract(spans_of(offered.ranges), spans_of_addresses([gateway_ip] if gateway_ip else [])))


def gateway_problem(offer: Offer, replicas: Replicas, facts: NetworkFacts) -> Problem | None:
    """Why the gateways cannot be changed; None if they can be, or are as they should be."""
    problems = (
        _problem(offer, subnet, existing, facts)
        for subnet in offer.subnets
        if (existing := replicas.get(subnet.cidr)) is not None
    )
    return next(filter(None, problems), None)


def _problem(offer: Offer, offered: OfferedSubnet, existing: Subnet, facts: NetworkFacts) -> Problem | None:
    wanted = _wanted(offer, offered, existing, facts)
    if wanted is None and offer.gateway_choice == "Local" and not offered.is_ipv6:
        return Problem(
            Reason.GATEWAY_IN_USE,
            f"no address of {offered.first}-{offered.last} is free for a gateway of this cloud's own: delete a port "
            "that has one",
        )
    if existing.gateway_ip is None or existing.gateway_ip == wanted:
        return None
    holder = next((port.id for port in router_ports(facts) if existing.gateway_ip in port.addresses), None)
    if holder is None:
        return None
    return Problem(
        Reason.GATEWAY_IN_USE,
        f"port {holder} of a router has {existing.gateway_ip}, the gateway of {offered.cidr}, which is to "
        f"{f'become {wanted}' if wanted else 'be removed'}: detach the router from the subnet",
    )


def _wanted(offer: Offer, offered: OfferedSubnet, existing: Subnet | None, facts: NetworkFacts) -> str | None:
    """The gateway as offered, of IPv6 always the origin's. One of this cloud's own stays, also if the slice grows."""
    if offered.is_ipv6:
        return offered.gateway_ip
    if offer.gateway_choice != "Local":
        return offered.gateway_ip if offer.gateway_choice == "Origin" else None
    if existing is not None and existing.gateway_ip and contains(spans_of(offered.ranges), existing.gateway_ip):
        return existing.gateway_ip
    free = subtract(spans_of(offered.ranges), spans_of_addresses(_used(offered, facts)))
    return address_of(free[0][0]) if free else None


def _used(offered: OfferedSubnet, facts: NetworkFacts) -> list[str]:
    """Addresses that a gateway cannot have, of ports on the replica and in what machines are served by DHCP."""
    of_ports = [a for port in facts.ports for a in (*port.addresses, *port.allowed_addresses)]
    served = [*offered.dns_nameservers, *(route.nexthop for route in offered.host_routes)]
    return [address for address in (*of_ports, *served) if ":" not in address and "/" not in address]
