"""What each tunnel of a node crosses: by which of the node's addresses, and of which IP version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

from isthmus.model.addresses import IpVersion
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import IkeConnection
from isthmus.model.node.switch import TunnelPort

from .inner import is_inner


@dataclass(frozen=True)
class Underlay:
    """The network between two gateways."""

    mtu: int
    """In bytes, of the interface with the node's address."""
    ip_version: IpVersion


def underlays(
    tunnels: Iterable[TunnelPort], connections: Iterable[IkeConnection], addresses: Iterable[NodeAddress]
) -> Mapping[TunnelPort, Underlay]:
    """Of the tunnels whose own address the node still has.

    Inner ends say nothing of the underlay: the connection of the tunnel's name does. A tunnel that is kept without one
    is taken to cross whatever carries less.
    """
    known = tuple(addresses)
    local = {connection.name: connection.ends.local_address for connection in connections}
    found = {}
    for tunnel in tunnels:
        own = local.get(tunnel.name) if is_inner(tunnel.ends) else tunnel.ends.local
        used = [address for address in known if own is None or address.address == own]
        if used:
            found[tunnel] = min(
                (_underlay(address) for address in used), key=lambda u: u.mtu - 20 * (u.ip_version == 6)
            )
    return found


def _underlay(address: NodeAddress) -> Underlay:
    return Underlay(address.mtu, ip_address(address.address).version)
