"""Why br-cloud drops frames of a network."""

from __future__ import annotations

from enum import IntEnum


class Drop(IntEnum):
    """The values are those of reg4 of the pipeline, and do not change; STORM is not in a register: meters count it."""

    STORM = 0
    VLAN_TAG = 1
    FORGED = 2
    """A group address as source, or the ethertype of probes from a machine."""
    LINK_LOCAL = 3
    """Spanning tree, LACP, LLDP."""
    CLOUD_SERVICE = 4
    """DHCP, DHCPv6 and metadata, which each cloud provides to its own machines."""
    IPV6_ROUTER = 5
    """Router discovery and redirects."""
    GATEWAY = 6
    """ARP that claims a gateway's address, from another cloud than the gateway's; neighbour discovery of a peer that
    claims an address of this cloud's routers."""
    OWNERSHIP = 7
    """A source MAC address that another member publishes than the one that the frame comes from."""

    @property
    def label(self) -> str:
        """Its name in metrics."""
        return self.name.lower()


DropKey = tuple[int, int, Drop]
"""The numbers of the network and of the member that the frame comes from (0: this cloud), and why it was dropped."""
