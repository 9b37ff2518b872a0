"""Classification of captured WAN frames: a few expected classes, everything else is `other`."""

import json
import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Final, Self

from tests.testbed.topology import KUBERNETES_PORT, SITES, Location

_EXAMPLES: Final = 10
_IKE: Final = 500
_ENCAPSULATED: Final = 4500
_ECHO_REPLY, _UNREACHABLE, _ECHO_REQUEST = 0, 3, 8
_UNREACHABLE_V6, _ECHO_REQUEST_V6, _ECHO_REPLY_V6 = 1, 128, 129
_HOP_BY_HOP, _UDP, _FRAGMENT, _ESP, _ICMPV6 = 0, 17, 44, 50, 58
_PING_PAYLOAD: Final = b"isthmus reachability test"
_PING_NONCE_BYTES: Final = 8
_NEIGHBOUR_DISCOVERY: Final = range(133, 138)
_LISTENER_DISCOVERY: Final = (130, 131, 132, 143)


class Traffic(StrEnum):
    """Class of a frame."""

    ESP = "esp"
    ESP_FRAGMENT = "esp fragment"
    IKE = "ike"
    API = "api"
    PING = "ping"
    REFUSAL = "refusal"
    ARP = "arp"
    ND = "nd"
    MLD = "mld"
    OTHER = "other"


@dataclass(frozen=True)
class Expected:
    """Expected traffic on the WAN: tunnels between gateways, Kubernetes between the API addresses.

    Gateways also ping each other, with a payload by which an agent's requests are known.

    Only the WAN's own cards (by their MAC addresses) may ask for neighbours there: a tenant's machine that is heard
    doing so has link-local addresses and groups like theirs. Gateways with IPv6 ask for each other as well.
    """

    cards: frozenset[str]
    gateways: frozenset[IPv4Address | IPv6Address] = frozenset(site.gateway_wan_address.ip for site in SITES.values())
    apis: frozenset[IPv4Address] = frozenset(site.server_wan_address.ip for site in SITES.values())
    networks: tuple[IPv4Network, ...] = tuple(site.wan for site in SITES.values())
    nats: frozenset[IPv4Address] = frozenset()
    """Addresses of NATs in front of gateways: these are gateways, too, whose ports of UDP may be any."""
    refusers: frozenset[IPv4Address] = frozenset()
    """Who may answer ESP or IKE, which it does not forward, with ICMP destination unreachable: NATs and routers."""

    @classmethod
    def of(
        cls, locations: Iterable[Location], cards: frozenset[str], nats: frozenset[IPv4Address] = frozenset()
    ) -> Self:
        """The clouds at these places, with these NATs in front of gateways."""
        places = tuple(locations)
        return cls(
            cards,
            gateways=nats | {place.gateway_wan_address.ip for place in places},
            nats=nats,
            refusers=nats | {place.router_address.ip for place in places} if nats else frozenset(),
            apis=frozenset(place.server_wan_address.ip for place in places),
            networks=tuple(place.wan for place in places),
        )


class UnprotectedFrames(AssertionError):
    """Frames have crossed the WAN that neither IKE nor ESP explains; `tests.rerun` knows it by its name."""


@dataclass(frozen=True)
class Summary:
    """Summary of a capture: counts by class, the first frames of class `other`, and dropped frames."""

    counts: Counter[Traffic] = field(default_factory=Counter)
    examples: tuple[str, ...] = ()
    unrecorded: int = 0
    in_udp: int = 0
    """Number of frames with ESP in UDP (RFC 3948) over IPv4."""

    @property
    def esp(self) -> int:
        """Number of frames with ESP, including fragments."""
        return self.counts[Traffic.ESP] + self.counts[Traffic.ESP_FRAGMENT]

    @property
    def clean(self) -> bool:
        """Whether every frame was recorded and has an expected class."""
        return self.unrecorded == 0 and self.counts[Traffic.OTHER] == 0

    def require_protected(self) -> None:
        """Fail with examples unless every frame was recorded and has an expected class."""
        if self.counts[Traffic.OTHER]:
            raise UnprotectedFrames(f"unexpected frames on the WAN:\n{self.table()}")
        assert self.unrecorded == 0, self.table()

    def table(self) -> str:
        """A line with the count of each class, then examples of unexpected frames."""
        rows = [f"{traffic:<14}{self.counts[traffic]:>9}" for traffic in Traffic]
        return "\n".join([*rows, f"{'not recorded':<14}{self.unrecorded:>9}", *self.examples])


def mac_addresses(links: str) -> frozenset[str]:
    """MAC addresses of the Ethernet interfaces in the output of `ip -j link`."""
    return frozenset(link["address"] for link in json.loads(links) if link.get("link_type") == "ether")


def summarise(frames: Iterable[bytes], expected: Expected, unrecorded: int = 0) -> Summary:
    """Classify and count frames."""
    counts: Counter[Traffic] = Counter()
    examples: list[str] = []
    in_udp, datagrams = 0, set[bytes]()
    for frame in frames:
        traffic = classify(frame, expected)
        if traffic is Traffic.OTHER and _is_fragment_of_esp_in_udp(frame, expected, datagrams):
            traffic = Traffic.ESP_FRAGMENT
        counts[traffic] += 1
        is_esp = traffic in (Traffic.ESP, Traffic.ESP_FRAGMENT)
        in_udp += is_esp and _ethertype(frame) == 0x0800 and frame[23] == _UDP
        if traffic is Traffic.OTHER and len(examples) < _EXAMPLES:
            examples.append(describe(frame))
    return Summary(counts, tuple(examples), unrecorded, in_udp)


def read_pcap(path: Path) -> Iterator[bytes]:
    """The Ethernet frames of a capture file, which may be truncated."""
    with path.open("rb") as file:
        header = file.read(24)
        order = {b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">"}.get(header[:4])
        if order is None or struct.unpack(f"{order}I", header[20:24])[0] != 1:
            raise ValueError(f"{path} is not a capture of Ethernet frames")
        while len(record := file.read(16)) == 16:
            yield file.read(struct.unpack(f"{order}I", record[8:12])[0])


def classify(frame: bytes, expected: Expected) -> Traffic:
    """The class of an Ethernet frame; `other` if it is too short to be sure."""
    of_the_wan = frame[6:12].hex(":") in expected.cards
    try:
        match _ethertype(frame):
            case 0x0800:
                return _classify_ipv4(frame[14:], expected)
            case 0x0806 if of_the_wan:
                return _classify_arp(frame[14:], expected)
            case 0x86DD:
                return _classify_ipv6(frame[14:], expected, of_the_wan=of_the_wan)
    except (IndexError, struct.error, ValueError):
        pass
    return Traffic.OTHER


def describe(frame: bytes) -> str:
    """A readable description of a frame with its first bytes, to find out its source."""
    words = f"ethertype {_ethertype(frame):#06x} from {frame[6:12].hex(':')}" if len(frame) >= 14 else "runt"
    if len(frame) >= 34 and _ethertype(frame) == 0x0800:
        source, destination = IPv4Address(frame[26:30]), IPv4Address(frame[30:34])
        words += f" {source} > {destination} protocol {frame[23]}"
        if frame[23] in (6, 17) and len(frame) >= 38 and not _fragment(frame[14:]):
            words += " port {} > {}".format(*struct.unpack("!HH", frame[34:38]))
        if _fragment(frame[14:]):
            words += " fragment"
    if len(frame) >= 54 and _ethertype(frame) == 0x86DD:
        words += f" {IPv6Address(frame[22:38])} > {IPv6Address(frame[38:54])} next header {frame[20]}"
    return f"{words}: {frame[:64].hex()}"


def _ethertype(frame: bytes) -> int:
    return int.from_bytes(frame[12:14], "big")


def _fragment(packet: bytes) -> bool:
    """Whether an IPv4 packet is a fragment, including the first one."""
    return bool(struct.unpack("!H", packet[6:8])[0] & 0x3FFF)


def _is_fragment_of_esp_in_udp(frame: bytes, expected: Expected, datagrams: set[bytes]) -> bool:
    """Whether a frame has a part of a datagram that begins as ESP in UDP does, which only its first fragment shows.

    `datagrams` are those of which the first fragment was seen: IP's identification and addresses.
    """
    packet = frame[14:]
    if len(packet) < 28 or _ethertype(frame) != 0x0800 or packet[9] != _UDP or not _fragment(packet):
        return False
    datagram = packet[4:6] + packet[12:20]
    if not struct.unpack("!H", packet[6:8])[0] & 0x1FFF:
        datagrams.discard(datagram)
        if _classify_ipv4(packet[:6] + bytes(2) + packet[8:], expected) is Traffic.ESP:
            datagrams.add(datagram)
    return datagram in datagrams


def _classify_arp(packet: bytes, expected: Expected) -> Traffic:
    if packet[:6] != b"\x00\x01\x08\x00\x06\x04":
        return Traffic.OTHER
    ends = IPv4Address(packet[14:18]), IPv4Address(packet[24:28])
    ours = any(all(address in network for address in ends) for network in expected.networks)
    return Traffic.ARP if ours else Traffic.OTHER


def _classify_ipv4(packet: bytes, expected: Expected) -> Traffic:
    protocol, ends = packet[9], {IPv4Address(packet[12:16]), IPv4Address(packet[16:20])}
    payload = packet[4 * (packet[0] & 0x0F) :]
    if protocol == 50 and ends <= expected.gateways:
        return Traffic.ESP_FRAGMENT if _fragment(packet) else Traffic.ESP
    if _fragment(packet):
        return Traffic.OTHER
    if protocol == 17 and ends <= expected.gateways:
        return _classify_udp(payload, _free_ports(packet, expected))
    if protocol == 1 and payload[0] == _UNREACHABLE:
        quoted, by_refuser = payload[8:], IPv4Address(packet[12:16]) in expected.refusers
        is_expected = by_refuser or ends <= expected.gateways
        return _classify_refusal(_classify_ipv4(quoted, expected), by_refuser) if is_expected else Traffic.OTHER
    if protocol == 1 and ends <= expected.gateways:
        return _classify_icmp(payload, (_ECHO_REPLY, _ECHO_REQUEST))
    if protocol == 6 and ends <= expected.apis and KUBERNETES_PORT in struct.unpack("!HH", payload[:4]):
        return Traffic.API
    return Traffic.OTHER


def _classify_refusal(quoted: Traffic, by_refuser: bool = False) -> Traffic:
    """By what it quotes, so that nothing in clear is hidden in it. A gateway without charon refuses IKE alone."""
    is_expected = quoted is Traffic.IKE or (by_refuser and quoted is Traffic.ESP)
    return Traffic.REFUSAL if is_expected else Traffic.OTHER


def _classify_icmp(message: bytes, echo: tuple[int, int]) -> Traffic:
    is_echo = message[0] in echo and message[1] == 0
    ours = message[8:].startswith(_PING_PAYLOAD) and len(message) == 8 + len(_PING_PAYLOAD) + _PING_NONCE_BYTES
    return Traffic.PING if is_echo and ours else Traffic.OTHER


def _free_ports(packet: bytes, expected: Expected) -> tuple[bool, bool]:
    """Whether the UDP ports of source and destination are a NAT's."""
    source, destination = (IPv4Address(packet[at : at + 4]) in expected.nats for at in (12, 16))
    return source, destination


def _classify_udp(datagram: bytes, free: tuple[bool, bool] = (False, False)) -> Traffic:
    """`free`: whether the source's and the destination's port may be any."""
    ports = {port for port, is_free in zip(struct.unpack("!HH", datagram[:4]), free, strict=True) if not is_free}
    payload = datagram[8:]
    if ports == {_IKE}:
        return Traffic.IKE
    if ports != {_ENCAPSULATED}:
        return Traffic.OTHER
    # RFC 3948: four zero bytes before IKE, one byte 0xff keeps a mapping alive, all else begins with an SPI.
    if payload == b"\xff" or payload[:4] == bytes(4):
        return Traffic.IKE
    return Traffic.ESP if len(payload) > 8 else Traffic.OTHER


def _classify_ipv6(packet: bytes, expected: Expected, *, of_the_wan: bool) -> Traffic:
    source, destination = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    next_header, payload = packet[6], packet[40:]
    if {source, destination} <= expected.gateways and next_header in (_ESP, _FRAGMENT, _UDP):
        return _classify_between_gateways(next_header, payload)
    if next_header == _HOP_BY_HOP:  # options, where MLD has its router alert
        next_header, payload = payload[0], payload[8 * (payload[1] + 1) :]
    if next_header != _ICMPV6:
        return Traffic.OTHER
    if {source, destination} <= expected.gateways and payload[0] in (_ECHO_REQUEST_V6, _ECHO_REPLY_V6):
        return _classify_icmp(payload, (_ECHO_REQUEST_V6, _ECHO_REPLY_V6))
    if {source, destination} <= expected.gateways and payload[0] == _UNREACHABLE_V6:
        return _classify_refusal(_classify_ipv6(payload[8:], expected, of_the_wan=of_the_wan))
    known_source = source.is_link_local or source.is_unspecified or source in expected.gateways
    known_destination = destination.is_link_local or destination.is_multicast or destination in expected.gateways
    if not (of_the_wan and known_source and known_destination):
        return Traffic.OTHER
    if payload[0] in _NEIGHBOUR_DISCOVERY:
        return Traffic.ND
    return Traffic.MLD if payload[0] in _LISTENER_DISCOVERY else Traffic.OTHER


def _classify_between_gateways(next_header: int, payload: bytes) -> Traffic:
    """Every fragment of an IPv6 packet names what it is a fragment of (RFC 8200, 4.5)."""
    if next_header == _ESP:
        return Traffic.ESP
    if next_header == _FRAGMENT:
        return Traffic.ESP_FRAGMENT if payload[0] == _ESP and len(payload) > 8 else Traffic.OTHER
    return _classify_udp(payload)
