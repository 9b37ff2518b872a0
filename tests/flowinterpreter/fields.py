"""The fields that flows match and set: their names, their sizes, and how their values are written (ovs-fields(7))."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import Literal

Kind = Literal["number", "mac", "ipv4", "ipv6"]

_REGISTERS = 16


class Unknown(Exception):
    """A field, a match or an action that the interpreter does not know."""


@dataclass(frozen=True)
class Field:
    """A field by its canonical name; `bits` wide."""

    name: str
    bits: int
    kind: Kind = "number"

    @property
    def mask(self) -> int:
        """All bits of the field."""
        return (1 << self.bits) - 1


@dataclass(frozen=True)
class Bits:
    """Some bits of a field, the lowest of which is bit `first`."""

    field: Field
    first: int
    count: int

    @property
    def mask(self) -> int:
        """These bits in their places."""
        return ((1 << self.count) - 1) << self.first


IN_FRAME = {
    field.name: field
    for field in (
        Field("eth_dst", 48, "mac"),
        Field("eth_src", 48, "mac"),
        Field("eth_type", 16),
        Field("vlan_tci", 16),
        Field("arp_op", 16),
        Field("arp_sha", 48, "mac"),
        Field("arp_spa", 32, "ipv4"),
        Field("arp_tha", 48, "mac"),
        Field("arp_tpa", 32, "ipv4"),
        Field("nw_src", 32, "ipv4"),
        Field("nw_dst", 32, "ipv4"),
        Field("nw_proto", 8),
        Field("ipv6_src", 128, "ipv6"),
        Field("ipv6_dst", 128, "ipv6"),
        Field("tp_src", 16),
        Field("tp_dst", 16),
        Field("icmp_type", 8),
        Field("icmp_code", 8),
        Field("nd_target", 128, "ipv6"),
    )
}
BESIDE_FRAME = {
    field.name: field
    for field in (
        Field("in_port", 32),
        Field("tun_id", 64),
        Field("tun_src", 32, "ipv4"),
        Field("tun_dst", 32, "ipv4"),
        Field("tun_ipv6_src", 128, "ipv6"),
        Field("tun_ipv6_dst", 128, "ipv6"),
        *(Field(f"reg{number}", 32) for number in range(_REGISTERS)),
    )
}
PAIRS = {f"xreg{number}": Field(f"xreg{number}", 64) for number in range(_REGISTERS // 2)}
"""Two registers as one field: xreg3 is reg6, in its upper half, and reg7."""

_FIELDS = IN_FRAME | BESIDE_FRAME | PAIRS
_OTHER_NAMES = {
    "dl_dst": "eth_dst",
    "dl_src": "eth_src",
    "dl_type": "eth_type",
    "NXM_OF_ETH_DST": "eth_dst",
    "NXM_OF_ETH_SRC": "eth_src",
    "NXM_OF_ARP_OP": "arp_op",
    "NXM_NX_ARP_SHA": "arp_sha",
    "NXM_OF_ARP_SPA": "arp_spa",
    "NXM_NX_ARP_THA": "arp_tha",
    "NXM_OF_ARP_TPA": "arp_tpa",
    "NXM_NX_TUN_ID": "tun_id",
    **{f"NXM_NX_REG{number}": f"reg{number}" for number in range(_REGISTERS)},
    **{f"OXM_OF_PKT_REG{number}": f"xreg{number}" for number in range(_REGISTERS // 2)},
}
_BITS = re.compile(r"(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]")


def field(name: str) -> Field:
    """The field of that name, in a match or in an action."""
    found = _FIELDS.get(_OTHER_NAMES.get(name, name))
    if found is None:
        raise Unknown(f"field {name}")
    return found


def bits(text: str) -> Bits:
    """What `NAME[]`, `NAME[BIT]` and `NAME[FIRST..LAST]` name."""
    found = _BITS.fullmatch(text)
    if found is None:
        raise Unknown(f"bits {text}")
    of = field(found[1])
    first = int(found[2] or 0)
    last = int(found[3] or found[2] or of.bits - 1)
    return Bits(of, first, last - first + 1)


@lru_cache(maxsize=65_536)
def value(of: Field, text: str) -> int:
    """A value as flows write it: an address if the field has one, else a number."""
    try:
        match of.kind:
            case "mac":
                return (
                    int(text, 0) if ":" not in text else int("".join(f"{int(o, 16):02x}" for o in text.split(":")), 16)
                )
            case "ipv4":
                return int(IPv4Address(text))
            case "ipv6":
                return int(IPv6Address(text))
        found = int(text, 0)
    except ValueError as error:
        raise Unknown(f"value {text} of {of.name}") from error
    if found > of.mask:
        raise Unknown(f"value {text} of {of.name} is too large")
    return found


def mask(of: Field, text: str) -> int:
    """A mask: a value, or the length of an address' prefix."""
    if of.kind in ("ipv4", "ipv6") and text.isdecimal():
        return of.mask ^ (of.mask >> int(text))
    return value(of, text)
