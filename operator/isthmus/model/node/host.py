"""The node's own network stack, and the dataplane probe's results."""

from __future__ import annotations

from dataclasses import dataclass


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
