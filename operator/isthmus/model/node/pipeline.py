"""The tables of br-cloud's pipeline, and the constants that identify its flows and its probe frames."""

from __future__ import annotations

from enum import IntEnum


class Table(IntEnum):
    """OpenFlow tables; PROBE and DROP are entered from GUARD, DELIVER from LEARN, RESOLVE from UNICAST.

    MAP looks up OWNER and CLAIM, which both end in OWN. Otherwise they are in this order. ANSWER is the last step of a
    request that it answers; the others go on in FLOOD.
    """

    CLASSIFY = 0
    MAP = 1
    GUARD = 2
    LEARN = 3
    UNICAST = 4
    LEARNED = 5
    FLOOD = 6
    OUTPUT = 7
    PROBE = 8
    DELIVER = 9
    DROP = 10
    RESOLVE = 11
    KNOWN = 12
    LIMIT = 13
    SENDER = 14
    ANSWER = 15
    OWNER = 16
    OWN = 17
    CLAIM = 18
    CLAIMED = 19


OWNER = 0x1571  # upper 16 bits of the cookie of every flow that we install
LEARNED_OWNER = 0x1572  # upper 16 bits of the cookie of every learned flow
COOKIE_SHIFT = 48
OWNER_MASK = 0xFFFF << COOKIE_SHIFT
_NETWORK_SHIFT = 16

PROBE_ETHERTYPE = 0x88B5  # IEEE 802: local experiments
PROBE_REQUEST_MAC = "02:69:73:74:68:01"  # destination of every probe request
WHOLE_REQUEST_MAC = "02:69:73:74:68:03"  # at the probe port, destination of a request that may not be fragmented
PROBE_REPLY_MAC = "02:69:73:74:68:02"  # source of every probe reply


def set_cookie(network: int = 0, member: int = 0) -> int:
    """The cookie of a network's flows or of a peer's flows; without a number that of the common flows."""
    return OWNER << COOKIE_SHIFT | network << _NETWORK_SHIFT | member


def learned_cookie(network: int, member: int = 0) -> int:
    """The cookie of the flows that are learned from frames of one member of a network; member 0 is this cloud."""
    return LEARNED_OWNER << COOKIE_SHIFT | network << _NETWORK_SHIFT | member


LEARNED_OF_NETWORK_MASK = OWNER_MASK | 0xFFFFFFFF << _NETWORK_SHIFT
"""Selects the learned flows of all members of a network."""


def storm_meter(network: int, member: int = 0) -> int:
    """The meter of group frames and frames to unknown addresses from one member of a network; 0 is this cloud.

    Distinct from each `probe_meter`, and below OFPM_MAX (OpenFlow 1.5, section 7.3.4.4) for all numbers of networks.
    """
    return network << _NETWORK_SHIFT | member


_BEHIND_PEER = 0xFE00  # above the numbers of all peers


def member_behind_peer(number: int) -> int:
    """The number on a node of a member that is reached through a peer; `number` is the member's own in its network."""
    return _BEHIND_PEER + number


_OWNERS = _ANSWERS = 0xFFFF  # in the place of a member, of which there is none with this number


def answer_meter(network: int) -> int:
    """The meter of ARP requests of this cloud that may be answered on the node."""
    return network << _NETWORK_SHIFT | _ANSWERS


def owner_cookie(network: int) -> int:
    """The cookie of the flows with the addresses of a network's ports."""
    return set_cookie(network, _OWNERS)


def is_network_set(cookie: int) -> bool:
    """Whether a cookie of ours is that of a network's own flows, without those of its ports' addresses."""
    return bool(network_of(cookie)) and not cookie & 0xFFFF


def probe_meter(member: int) -> int:
    """The meter of the probe frames of a peer."""
    return member


class Direction(IntEnum):
    """Of frames between this cloud and a peer. The values are above the numbers of networks, and below OFPM_MAX."""

    SENT = 0xFFFD
    RECEIVED = 0xFFFE

    @property
    def label(self) -> str:
        """Its name in metrics."""
        return self.name.lower()


def bandwidth_meter(member: int, direction: Direction) -> int:
    """The meter of all frames of machines that are sent to a peer, or received from it."""
    return direction << _NETWORK_SHIFT | member


def direction_of_meter(meter: int) -> Direction | None:
    """Which frames of a peer a bandwidth meter limits; None for all other meters."""
    above = meter >> _NETWORK_SHIFT
    return Direction(above) if above in {*Direction} else None


def network_of_meter(meter: int) -> int:
    """The number of the network that a meter belongs to; 0 if it is a peer's."""
    return 0 if direction_of_meter(meter) else meter >> _NETWORK_SHIFT


def sender_of_meter(meter: int) -> int:
    """The number of the member that a meter belongs to; 0 for what this cloud sends."""
    return 0 if (member := meter & 0xFFFF) == _ANSWERS else member


def network_of(cookie: int) -> int:
    """The number of the network that a cookie of ours names; 0 if it names none."""
    return cookie >> _NETWORK_SHIFT & 0xFFFFFFFF if cookie >> COOKIE_SHIFT == OWNER else 0
