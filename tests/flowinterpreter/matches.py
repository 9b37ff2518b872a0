"""What a flow matches, read from its text (ovs-ofctl(8), ovs-fields(7))."""

from __future__ import annotations

from typing import NamedTuple

from .fields import Field, Unknown, field, mask, value
from .packet import Packet

_PROTOCOLS = {
    "arp": (("eth_type", 0x0806),),
    "ip": (("eth_type", 0x0800),),
    "ipv6": (("eth_type", 0x86DD),),
    "udp": (("eth_type", 0x0800), ("nw_proto", 17)),
    "udp6": (("eth_type", 0x86DD), ("nw_proto", 17)),
    "icmp": (("eth_type", 0x0800), ("nw_proto", 1)),
    "icmp6": (("eth_type", 0x86DD), ("nw_proto", 58)),
}
_NEEDS = {
    "arp": ("arp_op", "arp_sha", "arp_spa", "arp_tha", "arp_tpa"),
    "ip": ("nw_src", "nw_dst"),
    "ipv6": ("ipv6_src", "ipv6_dst"),
    "icmp6": ("nd_target",),
}
"""What is matched of which protocol only: Open vSwitch ignores it in other flows, and drops it from them."""


class Term(NamedTuple):
    """A field has that value in the bits of the mask."""

    field: Field
    value: int
    mask: int


Match = frozenset[Term]
"""All terms are true."""


def parse_match(text: str) -> Match:
    """A match without table and priority; the empty one is true of every frame."""
    terms: set[Term] = set()
    for word in filter(None, text.split(",")):
        name, equals, given = word.partition("=")
        if not equals:
            if word not in _PROTOCOLS:
                raise Unknown(f"match {word}")
            terms |= {Term(field(of), number, field(of).mask) for of, number in _PROTOCOLS[word]}
        else:
            terms.add(term(name, given))
    _check_protocols(frozenset(terms))
    return frozenset(terms)


def term(name: str, given: str) -> Term:
    """One field, with `VALUE` or `VALUE/MASK`."""
    of = field(name)
    wanted, slash, relevant = given.partition("/")
    bits = mask(of, relevant) if slash else of.mask
    return Term(of, value(of, wanted) & bits, bits)


def applies(match: Match, packet: Packet) -> bool:
    """Whether a packet is matched."""
    return all(packet.get(of) & bits == wanted for of, wanted, bits in match)


def _check_protocols(match: Match) -> None:
    exact = {(of.name, wanted) for of, wanted, bits in match if bits == of.mask}
    for of, _, _ in match:
        for protocol, names in _NEEDS.items():
            if of.name in names and not exact.issuperset(_PROTOCOLS[protocol]):
                raise Unknown(f"{of.name} without {protocol}")
        if of.name in ("tp_src", "tp_dst", "icmp_type", "icmp_code") and not any(n == "nw_proto" for n, _ in exact):
            raise Unknown(f"{of.name} without a protocol")
