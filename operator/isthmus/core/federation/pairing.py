"""How two gateways connect: the mode of ESP. Both clouds compute the same from what both publish."""

from __future__ import annotations

from dataclasses import dataclass

from .agreement import Agreement


@dataclass(frozen=True)
class Pairing:
    """One of our gateways, and one of the peer's."""

    initiator: bool
    """Our gateway opens IKE SAs."""
    tunnel_mode: bool = False
    """ESP in tunnel mode, with ends of the pair's own inside."""


def pairing(agreement: Agreement) -> Pairing:
    """How our gateway connects to one of the peer's."""
    return Pairing(agreement.initiator, tunnel_mode=agreement.mode == "Tunnel")
