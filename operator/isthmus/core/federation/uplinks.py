"""Gateways as clouds publish them: their addresses from outside, and what they may not have in common."""

from __future__ import annotations

from collections.abc import Iterator

from isthmus.core.placement.gateways import Gateway
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway

_IKE_PORT = 500


def published(gateway: Gateway) -> PeerGateway:
    """One of our gateways, as its node's uplink has it."""
    uplink = gateway.uplink
    if uplink is None or (uplink.reachable and uplink.public_address in (None, gateway.address)):
        return PeerGateway(name=gateway.name, address=gateway.address)
    return PeerGateway(
        name=gateway.name,
        address=uplink.public_address or gateway.address,
        nat="Forwarded" if uplink.reachable else "Behind",
        ike_port=uplink.ike_port if uplink.reachable else None,
    )


def unique_parts(gateway: PeerGateway) -> Iterator[str]:
    """What no other gateway of the same cloud may have: several may be behind one address, but not on one port."""
    yield gateway.name
    if gateway.nat is None:
        yield gateway.address
    elif gateway.nat == "Forwarded":
        yield f"{gateway.address} UDP port {gateway.ike_port or _IKE_PORT}"
