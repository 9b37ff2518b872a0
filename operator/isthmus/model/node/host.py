"""The node's own network stack, and the dataplane probe's results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, auto

from .tunnel import TunnelEnds


@dataclass(frozen=True)
class ProbeResult:
    """The numbers of probe frames sent and reflected on one link, and the round-trip time in seconds."""

    sent: int
    received: int
    rtt_seconds: float | None


@dataclass(frozen=True)
class NodeAddress:
    """An address of the node, and the MTU of its interface."""

    address: str
    mtu: int


@dataclass(frozen=True)
class NodeView:
    """What the node's own network stack says."""

    addresses: tuple[NodeAddress, ...]
    tunnel_udp_ports: frozenset[int] = frozenset()
    """UDP ports of the kernel's tunnel devices that Open vSwitch did not make."""
    kernel: str = ""
    inner_ends: frozenset[TunnelEnds] = frozenset()
    """Tunnels of ours inside ESP tunnel mode that have their address and their route; `addresses` are without these."""
    has_inner_leftovers: bool = False
    """There is more of them, or nothing else of them: an address without its route, or the device alone."""


class KernelChange(Flag):
    """What may have changed in the kernel; only a view shows whether it has."""

    POLICIES = auto()
    """An XFRM policy was updated or removed, or expired."""
    ASSOCIATIONS = auto()
    """An XFRM state was added, updated or removed, or expired."""
    HOST = auto()
    """Addresses or links."""
    FIREWALL = auto()
    """Our nftables table, or anything in it."""
