"""Gateways as clouds publish them: their addresses from outside, and what they may not have in common."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.core.placement.gateways import Gateway
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection

from .pairing import with_addresses

_IKE_PORT = 500


def published(gateway: Gateway, *, is_hidden: bool = False) -> PeerGateway:
    """One of our gateways, as its node's uplink has it; without one, as charon has found it."""
    uplink = gateway.uplink
    if uplink is None or (uplink.reachable and uplink.public_address in (None, *gateway.addresses)):
        return _hidden(gateway) if uplink is None and is_hidden else with_addresses(gateway.name, gateway.addresses)
    if uplink.public_address is None:
        return _hidden(gateway)
    return PeerGateway(
        name=gateway.name,
        address=uplink.public_address,
        nat="Forwarded" if uplink.reachable else "Behind",
        ike_port=uplink.ike_port if uplink.reachable else None,
    )


def is_hidden(gateway: Gateway, seen: Iterable[GatewayConnection], before: Iterable[PeerGateway]) -> bool:
    """Whether a NAT is in front of one of our gateways, as it sees the peer's through its connections.

    As long as none is established it stays as it was published: in `before`.
    """
    found = {connection.in_force.nat for connection in seen if connection.in_force is not None} - {None}
    if found:
        return not found.isdisjoint({"Local", "Both"})
    return _hidden(gateway) in before


def _hidden(gateway: Gateway) -> PeerGateway:
    return with_addresses(gateway.name, gateway.addresses).model_copy(update={"nat": "Behind"})


def unique_parts(gateway: PeerGateway) -> Iterator[str]:
    """What no other gateway of the same cloud may have: several may be behind one address, but not on one port."""
    yield gateway.name
    if gateway.nat is None:
        yield from gateway.addresses
    elif gateway.nat == "Forwarded":
        yield f"{gateway.address} UDP port {gateway.ike_port or _IKE_PORT}"
