"""Which gateway node carries a network: exactly one, so that no loop can form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, TunnelAddress, Uplink
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.names import digest
from isthmus.model.reasons import ConditionType

_WEIGHT_DIGITS = 16
_Network = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Gateway:
    """A node that may carry networks, with its tunnel address."""

    name: str
    host: str
    address: str
    underlay_mtu: int
    health: NodeHealth
    uplink: Uplink | None = None
    """How peers reach it, if not at its addresses."""
    other: TunnelAddress | None = None
    """Its IPv6 address, if `address` is IPv4."""
    carried_by_paths: Mapping[str, int] = field(default_factory=dict, hash=False)
    """By cloud ID, the largest IP packet of a machine in bytes that crosses to each gateway of the peer whole, of those
    of which it is known."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """One or two, IPv4 first."""
        return (self.address,) if self.other is None else (self.address, self.other.address)

    def underlay_mtu_of(self, ip_version: int) -> int:
        """In bytes, of the interface with the address of that version."""
        is_other = self.other is not None and ip_address(self.address).version != ip_version
        return self.other.mtu if self.other is not None and is_other else self.underlay_mtu

    @property
    def usable(self) -> bool:
        """Whether it may get a network."""
        return self.health.state == "Usable"

    @property
    def failed(self) -> bool:
        """Whether its networks have to leave."""
        return self.health.state == "Failed"


def gateways(snapshot: Snapshot) -> tuple[Gateway, ...]:
    """This cloud's gateway nodes with a tunnel address inside `gateway_cidrs` and a host name in Neutron, by name."""
    networks = [ip_network(cidr) for cidr in snapshot.own.gateway_cidrs]
    found = (_gateway(node, networks, snapshot.gateway_health) for node in snapshot.all(GatewayNode))
    return tuple(sorted((g for g in found if g is not None), key=lambda gateway: gateway.name))


def active_gateway(
    candidates: Iterable[Gateway], network: str, previous: str | None, return_seconds: float
) -> Gateway | None:
    """The node that should carry a network; None if no node can.

    `previous` is the one that carries it now, `return_seconds` as setting `gateway_return_seconds`.
    """
    by_name = {gateway.name: gateway for gateway in candidates}
    before = by_name.get(previous or "")
    preferred = _preferred(by_name.values(), network)
    if preferred is None or before is None or before.failed:
        return preferred or before
    return preferred if _may_return(network, preferred, return_seconds) else before


def seconds_to_return(candidates: Iterable[Gateway], network: str, active: str, return_seconds: float) -> float | None:
    """Seconds until a network may return to the node that it prefers to the active one; None if it will not."""
    preferred = _preferred(candidates, network)
    if preferred is None or preferred.name == active or return_seconds <= 0:
        return None
    return max(0.0, _return_after_seconds(network, return_seconds) - preferred.health.usable_seconds)


def _may_return(network: str, preferred: Gateway, return_seconds: float) -> bool:
    return return_seconds > 0 and preferred.health.usable_seconds >= _return_after_seconds(network, return_seconds)


def _return_after_seconds(network: str, return_seconds: float) -> float:
    """Each network has a moment of its own, so that few are interrupted at a time."""
    return return_seconds * (1 + _fraction(network))


def _preferred(candidates: Iterable[Gateway], network: str) -> Gateway | None:
    return max((g for g in candidates if g.usable), key=lambda g: _weight(network, g.name), default=None)


def _weight(network: str, node: str) -> str:
    """Rendezvous hashing: of all nodes a network prefers the one with the highest weight."""
    return digest(network, node, digits=_WEIGHT_DIGITS)


def _fraction(network: str) -> float:
    """A number of the network's own, from 0 to less than 1."""
    return int(digest("return", network, digits=_WEIGHT_DIGITS), 16) / (1 << 4 * _WEIGHT_DIGITS)


def _gateway(node: GatewayNode, networks: Iterable[_Network], known_health: Mapping[str, NodeHealth]) -> Gateway | None:
    name, host, found = node.metadata.name, node.status.neutron_host, tunnel_addresses(node, networks)
    if not found or not host or node.metadata.deletion_timestamp:
        return None
    first, *others = found
    health = known_health.get(name) or _unobserved(node)
    other, carried = next(iter(others), None), carried_by_paths(node)
    return Gateway(name, host, first.address, first.mtu, health, _uplink(node), other, carried)


def carried_by_paths(node: GatewayNode) -> dict[str, int]:
    """By cloud ID, the least of what the paths from the node to the peer's gateways carry whole, where that is known.

    Of all gateways, since a network's MTU must not depend on which of them carries it at the moment.
    """
    found: dict[str, int] = {}
    for connection in node.status.connections:
        if (mtu := connection.carried_mtu) is not None:
            found[connection.cloud_id] = min(mtu, found.get(connection.cloud_id, mtu))
    return found


def _uplink(node: GatewayNode) -> Uplink | None:
    return next(iter(node.spec.uplinks), None) if node.spec is not None else None


def tunnel_addresses(node: GatewayNode, networks: Iterable[_Network]) -> tuple[TunnelAddress, ...]:
    """The node's first address of each IP version inside these networks, IPv4 first."""
    networks = tuple(networks)
    inside = [a for a in node.status.addresses if any(ip_address(a.address) in n for n in networks)]
    first = {ip_address(a.address).version: a for a in reversed(inside)}
    return tuple(first[version] for version in sorted(first))


def _unobserved(node: GatewayNode) -> NodeHealth:
    """The health of a node that has not been observed over time: it may be usable, but not have failed."""
    return NodeHealth("Usable" if is_ready(node) else "Waiting")


def is_ready(node: GatewayNode) -> bool:
    """Whether the node's agent reports that it can forward."""
    condition = condition_of(node.status.conditions, ConditionType.READY)
    return condition is not None and condition.status == "True"
