"""Where the fields of a frame are, as Open vSwitch finds them (`miniflow_extract`); what it cannot read is zero."""

from __future__ import annotations

from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

_TAGS = (0x8100, 0x88A8)
_NOT_A_TYPE = 0x05FF  # of an IEEE 802.3 frame, whose ethertype is its length (ovs-fields(7), eth_type)
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_UDP, _TCP, _ICMP, _ICMPV6 = 17, 6, 1, 58
_OPTION_HEADERS = (0, 43, 60)  # hop-by-hop options, routing, destination options (RFC 8200)
_AUTHENTICATION, _FRAGMENT = 51, 44


class Place(NamedTuple):
    """Octets of a frame."""

    first: int
    octets: int


class Headers(NamedTuple):
    """What was found: values of fields, and the places of those that can be set."""

    values: MappingProxyType[str, int]
    places: MappingProxyType[str, Place]


@lru_cache(maxsize=16_384)
def headers(frame: bytes) -> Headers:
    """The fields of a frame; those that it does not have are missing."""
    found = _Found(frame)
    found.ethernet()
    return Headers(MappingProxyType(found.values), MappingProxyType(found.places))


class _Found:
    def __init__(self, frame: bytes) -> None:
        self.frame = frame
        self.values: dict[str, int] = {}
        self.places: dict[str, Place] = {}

    def ethernet(self) -> None:
        self._place("eth_dst", 0, 6)
        self._place("eth_src", 6, 6)
        type_, at = self._number(12, 2), 14
        if type_ in _TAGS and len(self.frame) >= at + 4:
            self.values["vlan_tci"] = self._number(at, 2) | 0x1000
            type_, at = self._number(at + 2, 2), at + 4
        if type_ < 0x0600:
            type_ = _NOT_A_TYPE
        self.values["eth_type"] = type_
        match type_:
            case 0x0806:
                self._arp(at)
            case 0x0800:
                self._ipv4(at)
            case 0x86DD:
                self._ipv6(at)

    def _arp(self, at: int) -> None:
        """Only of Ethernet and IPv4; an operation of more than one octet is none."""
        if len(self.frame) < at + 28 or self.frame[at : at + 6] != bytes.fromhex("000108000604"):
            return
        if self._number(at + 6, 2) <= 0xFF:
            self._place("arp_op", at + 6, 2)
        for name, first, count in (("sha", 8, 6), ("spa", 14, 4), ("tha", 18, 6), ("tpa", 24, 4)):
            self._place(f"arp_{name}", at + first, count)

    def _ipv4(self, at: int) -> None:
        left = len(self.frame) - at
        if left < 20:
            return
        length, total = (self.frame[at] & 0xF) * 4, self._number(at + 2, 2)
        if length < 20 or length > total or total > left:
            return
        self._place("nw_src", at + 12, 4)
        self._place("nw_dst", at + 16, 4)
        self._place("nw_proto", at + 9, 1)
        if not self._number(at + 6, 2) & 0x1FFF:
            self._transport(self.frame[at + 9], at + length, at + total, version=4)

    def _ipv6(self, at: int) -> None:
        left = len(self.frame) - at
        if left < 40 or (payload := self._number(at + 4, 2)) + 40 > left:
            return
        self._place("ipv6_src", at + 8, 16)
        self._place("ipv6_dst", at + 24, 16)
        protocol, begin, end = self.frame[at + 6], at + 40, at + 40 + payload
        while protocol in (*_OPTION_HEADERS, _AUTHENTICATION, _FRAGMENT):
            if end - begin < 8:
                return
            later = protocol == _FRAGMENT and self._number(begin + 2, 2) & 0xFFF8
            words = {_FRAGMENT: 2, _AUTHENTICATION: self.frame[begin + 1] + 2}.get(
                protocol, (self.frame[begin + 1] + 1) * 2
            )
            if begin + 4 * words > end:
                return
            protocol, begin = self.frame[begin], begin + 4 * words
            if later:
                self.values["nw_proto"] = protocol
                return
        self.values["nw_proto"] = protocol
        self._transport(protocol, begin, end, version=6)

    def _transport(self, protocol: int, at: int, end: int, version: int) -> None:
        left = end - at
        if (protocol == _UDP and left >= 8) or (protocol == _TCP and left >= 20):
            self._place("tp_src", at, 2)
            self._place("tp_dst", at + 2, 2)
        elif (protocol, version) in ((_ICMP, 4), (_ICMPV6, 6)) and left >= 8:
            self._place("icmp_type", at, 1)
            self._place("icmp_code", at + 1, 1)
            # Solicitations and advertisements of neighbours (RFC 4861).
            if version == 6 and self.frame[at] in (135, 136) and self.frame[at + 1] == 0 and left >= 24:
                self._place("nd_target", at + 8, 16)

    def _place(self, name: str, first: int, count: int) -> None:
        self.places[name] = Place(first, count)
        self.values[name] = self._number(first, count)

    def _number(self, first: int, count: int) -> int:
        return int.from_bytes(self.frame[first : first + count])
