"""The ends of tunnels inside ESP tunnel mode: two addresses for each pair of gateways, the same for both to compute.

They are of class E (240.0.0.0/4, RFC 1112), which nobody else routes. A pair has two neighbours that differ in their
last bit, by a digest of the gateways' identities. It has 27 bits: two pairs of one node have the same ends by a rare
chance, or because a peer has chosen the name of a gateway for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, ip_address
from typing import Final

from isthmus.model import names
from isthmus.model.node.tunnel import TunnelEnds

_NETWORK: Final = IPv4Network("240.0.0.0/4")
_DIGITS: Final = 16
# Neither the first two addresses nor the last two: one is a broadcast.
_PAIRS: Final = (_NETWORK.num_addresses - 4) // 2


def inner_ends(own_identity: str, remote_identity: str) -> TunnelEnds:
    """The ends of the tunnel between the gateways of these IKE identities, which differ."""
    first, second = sorted((own_identity, remote_identity))
    pair = 1 + int(names.digest("inner ends", first, second, digits=_DIGITS), 16) % _PAIRS
    addresses = {identity: str(_NETWORK[2 * pair + bit]) for bit, identity in enumerate((first, second))}
    return TunnelEnds(addresses[own_identity], addresses[remote_identity])


def is_inner(ends: TunnelEnds) -> bool:
    """Whether these can be such ends."""
    local, remote = ip_address(ends.local), ip_address(ends.remote)
    if isinstance(local, IPv4Address) and isinstance(remote, IPv4Address):
        return local in _NETWORK and int(local) ^ int(remote) == 1
    return False


def unusable(
    wanted: Mapping[str, TunnelEnds], preferred: Collection[str], node_addresses: Iterable[str]
) -> dict[str, str]:
    """By connection whose ends another one has, or the node itself: what has them.

    Of several the preferred ones have precedence, which are installed, and then those that sort first.
    """
    owners = {address: f"address {address} of this node" for address in node_addresses}
    found: dict[str, str] = {}
    for name in sorted(wanted, key=lambda name: (name not in preferred, name)):
        ends = wanted[name]
        owner = next((owners[address] for address in (ends.local, ends.remote) if address in owners), None)
        if owner is None:
            owners |= dict.fromkeys((ends.local, ends.remote), f"tunnel {name}")
        else:
            found[name] = owner
    return found
