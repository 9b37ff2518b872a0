"""How two gateways connect: the mode of ESP, and who opens the connection. Both clouds compute the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.reasons import Reason

from .agreement import Agreement


@dataclass(frozen=True)
class Pairing:
    """One of our gateways, and one of the peer's."""

    initiator: bool
    """Our gateway opens IKE SAs."""
    passive: bool = False
    """It cannot, for the peer's gateway cannot be reached."""
    tunnel_mode: bool = False
    """ESP in tunnel mode, with ends of the pair's own inside."""
    through_nat: bool = False
    """ESP in UDP (RFC 3948)."""


def pairing(agreement: Agreement, ours: PeerGateway, theirs: PeerGateway) -> Pairing | Problem:
    """How our gateway connects to one of the peer's, or why it cannot; each as its cloud publishes it.

    Tunnel mode is for a NAT: several gateways behind one address would be one and the same in transport mode.
    """
    through_nat = ours.nat is not None or theirs.nat is not None
    hidden = ours.nat == "Behind", theirs.nat == "Behind"
    if all(hidden):
        return Problem(
            Reason.NOBODY_REACHABLE,
            f"neither {ours.name} nor the peer's {theirs.name} is reachable from outside: forward UDP ports 500 and "
            "4500 to one of them, or one port to its UDP port 4500, and say so in spec.uplinks of its GatewayNode",
        )
    if through_nat and agreement.mode == "Transport":
        return Problem(
            Reason.TRANSPORT_THROUGH_NAT,
            f"a NAT is between {ours.name} and the peer's {theirs.name}, and one of the clouds names Transport as "
            "tunnel.mode, as all earlier releases do: set Auto in both CloudPeers",
        )
    return Pairing(
        initiator=hidden[0] if any(hidden) else agreement.initiator,
        passive=hidden[1],
        tunnel_mode=through_nat or agreement.mode == "Tunnel",
        through_nat=through_nat,
    )


def as_published(gateways: Iterable[PeerGateway], name: str, address: str) -> PeerGateway:
    """One of our gateways as our PeerLink has it; one that is not in it yet has no NAT."""
    return next((g for g in gateways if g.name == name), None) or PeerGateway(name=name, address=address)
