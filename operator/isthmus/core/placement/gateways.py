"""Which gateway node carries a network: exactly one, so that no loop can form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, TunnelAddress
from isthmus.model.reasons import ConditionType


@dataclass(frozen=True)
class Gateway:
    """A node that can carry networks, with its tunnel address."""

    name: str
    host: str
    address: str
    underlay_mtu: int
    ready: bool


def gateways(nodes: Iterable[GatewayNode], own_cidrs: Iterable[str]) -> tuple[Gateway, ...]:
    """The nodes with a tunnel address inside `own_cidrs` and a hostname in Neutron, ordered by name."""
    networks = [IPv4Network(cidr) for cidr in own_cidrs]
    usable = ((node, tunnel_address(node, networks)) for node in nodes)
    return tuple(
        sorted(
            (
                Gateway(node.metadata.name, node.status.neutron_host, found.address, found.mtu, _ready(node))
                for node, found in usable
                if found is not None and node.status.neutron_host and not node.metadata.deletion_timestamp
            ),
            key=lambda gateway: gateway.name,
        )
    )


def tunnel_address(node: GatewayNode, networks: Iterable[IPv4Network]) -> TunnelAddress | None:
    """The node's first address inside these networks; None if it has none."""
    inside = (a for a in node.status.addresses if any(IPv4Address(a.address) in n for n in networks))
    return next(inside, None)


def active_gateway(candidates: Iterable[Gateway], previous: str | None) -> Gateway | None:
    """The previous one if it is ready or no other is, so that networks move only if they must; else the first ready."""
    by_name = {gateway.name: gateway for gateway in candidates}
    before = by_name.get(previous or "")
    if before is not None and before.ready:
        return before
    return next((gateway for gateway in by_name.values() if gateway.ready), before)


def _ready(node: GatewayNode) -> bool:
    condition = condition_of(node.status.conditions, ConditionType.READY)
    return condition is not None and condition.status == "True"
