"""What br-cloud drops of a network at present, as evidence: probes pass all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ..resources import Attachment, Dropped

_WHAT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "storm": "group frames and frames to unknown addresses beyond 1,000 a second",
        "vlan_tag": "frames with VLAN tags",
        "forged": "frames with a group address as source, or with the ethertype of probes",
        "link_local": "link-local frames (spanning tree, LACP, LLDP)",
        "cloud_service": "DHCP and metadata, which each cloud provides itself",
        "ipv6_router": "IPv6 router discovery",
        "ownership": "frames with the MAC address, or that claim the IP address, of a machine of another cloud",
        "gateway": "ARP claims of the gateway address that are not the origin's",
    }
)


def evidence(attachment: Attachment, peer: str) -> Iterator[str]:
    """A sentence for this cloud, and for the peer, if frames of theirs are dropped; those of other peers are theirs."""
    for cloud_id, whose in (("", "this cloud"), (peer, peer)):
        reasons = [_what(dropped) for dropped in attachment.dropping if dropped.cloud_id == cloud_id]
        if reasons:
            yield f"network {attachment.network_id}: of {whose}, {' and '.join(reasons)} are dropped"


def _what(dropped: Dropped) -> str:
    return _WHAT.get(dropped.reason, f"frames by reason {dropped.reason}")
