"""The tables of br-cloud's pipeline, and the constants that identify its flows and its probe frames."""

from __future__ import annotations

from enum import IntEnum


class Table(IntEnum):
    """OpenFlow tables; PROBE is entered from GUARD, the others in this order."""

    CLASSIFY = 0
    MAP = 1
    GUARD = 2
    LEARN = 3
    UNICAST = 4
    LEARNED = 5
    FLOOD = 6
    OUTPUT = 7
    PROBE = 8


OWNER = 0x1571  # upper 16 bits of the cookie of every flow that we install
LEARNED_OWNER = 0x1572  # upper 16 bits of the cookie of every learned flow; the lower bits are the network's number
COOKIE_SHIFT = 48

PROBE_ETHERTYPE = 0x88B5  # IEEE 802: local experiments
PROBE_REQUEST_MAC = "02:69:73:74:68:01"  # destination of every probe request
PROBE_REPLY_MAC = "02:69:73:74:68:02"  # source of every probe reply
