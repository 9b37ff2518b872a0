"""Numbers by which the pipeline of one node knows networks and members; Open vSwitch's database keeps them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_NETWORK = 2**16 - 4  # the upper 16 bits of a meter's ID, of which the greatest stand for the bandwidth of peers
MAX_MEMBER = 0xFDFF  # the lower 16 bits of a meter's ID, of which the greatest stand for members behind a peer


@dataclass(frozen=True)
class Numbers:
    """Numbers from 1 on. The numbers that were assigned last show which ones have not been used for longest."""

    networks: Mapping[str, int] = field(default_factory=dict)
    """By the network's patch port on br-cloud."""
    members: Mapping[str, int] = field(default_factory=dict)
    """By the peer's cloud ID. Members behind a peer have theirs from the network: `pipeline.member_behind_peer`."""
    last_network: int = 0
    last_member: int = 0
