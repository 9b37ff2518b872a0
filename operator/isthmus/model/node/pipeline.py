"""The steps of br-cloud's pipeline, and the marks by which its flows and its echo frames are known."""

from __future__ import annotations

from enum import IntEnum


class Table(IntEnum):
    """The steps, in the order in which a frame takes them."""

    CLASSIFY = 0
    MAP = 1
    GUARD = 2
    LEARN = 3
    UNICAST = 4
    LEARNED = 5
    FLOOD = 6
    OUTPUT = 7
    PROBE = 8


OWNER = 0x1571  # upper 16 bits of the cookie of every flow that we put in
LEARNED_OWNER = 0x1572  # upper 16 bits of what the switch learned; below them the network's number
COOKIE_SHIFT = 48

PROBE_ETHERTYPE = 0x88B5  # IEEE 802: local experiments
PROBE_REQUEST_MAC = "02:69:73:74:68:01"  # destination of every request
PROBE_REPLY_MAC = "02:69:73:74:68:02"  # source of every reply
