"""Classification of frames on the WAN, on hand-made frames: only expected ones have a class."""

import json
import struct
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from isthmus.adapters.linux import ping
from tests.testbed.wan.wire import Expected, Summary, Traffic, classify, mac_addresses, read_pcap, summarise

GATEWAYS = ("192.0.2.11", "198.51.100.11")
GATEWAYS_V6 = ("2001:db8:a::11", "2001:db8:b::11")
APIS = ("192.0.2.10", "198.51.100.10")
MORE_FRAGMENTS = 0x2000
CARD, TENANT = "0a:00:00:00:00:01", "fa:16:3e:00:00:01"
EXPECTED = Expected(cards=frozenset({CARD}))
BOTH_FAMILIES = replace(EXPECTED, gateways=EXPECTED.gateways | {IPv6Address(address) for address in GATEWAYS_V6})
NAT, ROUTER = "198.51.100.20", "192.0.2.1"
THROUGH_NAT = replace(
    EXPECTED,
    gateways=EXPECTED.gateways | {IPv4Address(NAT)},
    nats=frozenset({IPv4Address(NAT)}),
    refusers=frozenset({IPv4Address(NAT), IPv4Address(ROUTER)}),
)
IN, OUT = (GATEWAYS[0], NAT), (NAT, GATEWAYS[0])
MACHINE = "fe80::f816:3eff:fe00:1"
SOLICITED, ROUTERS, LISTENERS = "ff02::1:ff00:1", "ff02::2", "ff02::16"


def ethernet(kind: int, payload: bytes) -> bytes:
    return bytes(6) + bytes.fromhex(CARD.replace(":", "")) + struct.pack("!H", kind) + payload


def from_a_tenant(frame: bytes) -> bytes:
    """The same frame, sent from a tenant's interface."""
    return frame[:6] + bytes.fromhex(TENANT.replace(":", "")) + frame[12:]


def ipv4(protocol: int, payload: bytes, ends: tuple[str, str] = GATEWAYS, *, fragment: int = 0) -> bytes:
    source, destination = (IPv4Address(end).packed for end in ends)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0)
    return ethernet(0x0800, header + source + destination + payload)


def ports(source: int, destination: int, payload: bytes = bytes(20)) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def echo(payload: bytes, ip_version: int = 4) -> bytes:
    return ping._message(ping._ICMP[ip_version], payload)


def ipv6(next_header: int, payload: bytes, ends: tuple[str, str] = GATEWAYS_V6) -> bytes:
    source, destination = (IPv6Address(end).packed for end in ends)
    return ethernet(
        0x86DD, struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + source + destination + payload
    )


def fragment_v6(next_header: int, payload: bytes) -> bytes:
    return ipv6(44, struct.pack("!BBHI", next_header, 0, 1, 7) + payload)


def arp(sender: str, target: str) -> bytes:
    addresses = bytes(6) + IPv4Address(sender).packed + bytes(6) + IPv4Address(target).packed
    return ethernet(0x0806, b"\x00\x01\x08\x00\x06\x04\x00\x01" + addresses)


def icmpv6(kind: int, source: str = "fe80::1", destination: str = LISTENERS, *, router_alert: bool = False) -> bytes:
    options = b"\x3a\x00\x05\x02\x00\x00\x01\x00" if router_alert else b""
    payload = options + bytes([kind]) + bytes(7)
    header = struct.pack("!IHBB", 6 << 28, len(payload), 0 if router_alert else 58, 255)
    return ethernet(0x86DD, header + IPv6Address(source).packed + IPv6Address(destination).packed + payload)


def refusal(quoted: bytes, source: str) -> bytes:
    return ipv4(1, b"\x03\x01" + bytes(6) + quoted[14:], (source, GATEWAYS[0]))


def refusal_v6(quoted: bytes) -> bytes:
    return ipv6(58, b"\x01\x04" + bytes(6) + quoted[14:])


@pytest.mark.parametrize(
    ("frame", "traffic"),
    [
        (ipv4(50, bytes(40)), Traffic.ESP),
        (ipv4(50, bytes(40), fragment=MORE_FRAGMENTS), Traffic.ESP_FRAGMENT),
        (ipv4(50, bytes(40), fragment=185), Traffic.ESP_FRAGMENT),
        (ipv4(17, ports(4500, 4500, b"\x12\x34\x56\x78" + bytes(40))), Traffic.ESP),
        (ipv4(17, ports(500, 500)), Traffic.IKE),
        (ipv4(1, echo(ping.PAYLOAD + bytes(8))), Traffic.PING),
        (ipv4(1, echo(ping.PAYLOAD + bytes(9))), Traffic.OTHER),
        (ipv4(1, echo(bytes(33))), Traffic.OTHER),
        (ipv4(1, echo(ping.PAYLOAD + bytes(8)), APIS), Traffic.OTHER),
        (ipv4(17, ports(4500, 4500, bytes(4) + bytes(40))), Traffic.IKE),
        (ipv4(17, ports(4500, 4500, b"\xff")), Traffic.IKE),
        (refusal(ipv4(17, ports(500, 500)), GATEWAYS[1]), Traffic.REFUSAL),
        (ipv4(6, ports(40000, 6443), APIS), Traffic.API),
        (ipv4(6, ports(6443, 40000), APIS[::-1]), Traffic.API),
        (arp("192.0.2.11", "192.0.2.1"), Traffic.ARP),
        (icmpv6(135, destination=SOLICITED), Traffic.ND),
        (icmpv6(135, "::", SOLICITED), Traffic.ND),
        (icmpv6(133, "fe80::1", ROUTERS), Traffic.ND),
        (icmpv6(143, source="::", router_alert=True), Traffic.MLD),
    ],
)
def test_expected_frames_are_classified(frame: bytes, traffic: Traffic) -> None:
    assert classify(frame, EXPECTED) is traffic


@pytest.mark.parametrize(
    ("frame", "traffic"),
    [
        (ipv6(50, bytes(40)), Traffic.ESP),
        (fragment_v6(50, bytes(40)), Traffic.ESP_FRAGMENT),
        (ipv6(17, ports(500, 500)), Traffic.IKE),
        (ipv6(58, echo(ping.PAYLOAD + bytes(8), 6)), Traffic.PING),
        (icmpv6(135, GATEWAYS_V6[0], SOLICITED), Traffic.ND),
        (icmpv6(136, *GATEWAYS_V6), Traffic.ND),
        (refusal_v6(ipv6(17, ports(500, 500))), Traffic.REFUSAL),
        (refusal_v6(ipv6(50, bytes(40))), Traffic.OTHER),
        (refusal_v6(ipv6(17, ports(50000, 14789))), Traffic.OTHER),
        (ipv4(50, bytes(40)), Traffic.ESP),
    ],
)
def test_expected_frames_between_ipv6_gateways_are_classified(frame: bytes, traffic: Traffic) -> None:
    assert classify(frame, BOTH_FAMILIES) is traffic


@pytest.mark.parametrize(
    ("frame", "traffic"),
    [
        (ipv4(17, ports(20001, 4500, b"\x12\x34\x56\x78" + bytes(40)), OUT), Traffic.ESP),
        (ipv4(17, ports(4500, 20001, b"\x12\x34\x56\x78" + bytes(40)), IN), Traffic.ESP),
        (ipv4(17, ports(4500, 4501, bytes(4) + bytes(40)), IN), Traffic.IKE),
        (ipv4(17, ports(20001, 500), OUT), Traffic.IKE),
        (ipv4(50, bytes(40), OUT), Traffic.ESP),
        (refusal(ipv4(50, bytes(40)), ROUTER), Traffic.REFUSAL),
        (refusal(ipv4(17, ports(500, 500)), NAT), Traffic.REFUSAL),
    ],
)
def test_expected_frames_through_a_nat_are_classified(frame: bytes, traffic: Traffic) -> None:
    assert classify(frame, THROUGH_NAT) is traffic
    assert classify(frame, EXPECTED) is Traffic.OTHER


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv4(17, ports(20001, 14789), OUT), id="tunnel in clear"),
        pytest.param(ipv4(17, ports(14789, 20001), IN), id="tunnel in clear to the NAT's port"),
        pytest.param(ipv4(17, ports(4501, 4500, b"\x12" + bytes(40))), id="another port at a gateway without NAT"),
        pytest.param(ipv4(47, bytes(40), OUT), id="GRE"),
        pytest.param(refusal(ipv4(17, ports(50000, 14789)), ROUTER), id="refusal that quotes a tunnel in clear"),
        pytest.param(refusal(ipv4(50, bytes(40)), GATEWAYS[1]), id="refusal of a gateway"),
    ],
)
def test_everything_else_through_a_nat_is_other(frame: bytes) -> None:
    assert classify(frame, THROUGH_NAT) is Traffic.OTHER


def test_esp_in_udp_is_counted_apart() -> None:
    in_udp = ipv4(17, ports(4500, 4500, b"\x12\x34\x56\x78" + bytes(40)))
    summary = summarise([ipv4(50, bytes(40)), in_udp, ipv4(17, ports(500, 500)), ipv6(17, ports(500, 500))], EXPECTED)
    assert (summary.esp, summary.in_udp) == (2, 1)


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv6(17, ports(50000, 14789)), id="tunnel in clear"),
        pytest.param(fragment_v6(17, ports(50000, 14789)), id="fragment of a tunnel"),
        pytest.param(ipv6(47, bytes(40)), id="GRE"),
        pytest.param(ipv6(4, bytes(40)), id="IPv4 in clear"),
        pytest.param(ipv6(50, bytes(40), (GATEWAYS_V6[0], "2001:db8:c::1")), id="ESP with another host"),
        pytest.param(ipv6(58, echo(bytes(33), 6)), id="another ping"),
        pytest.param(icmpv6(1, *GATEWAYS_V6), id="port unreachable, which quotes a packet"),
        pytest.param(icmpv6(135, "2001:db8:c::1", SOLICITED), id="ND of another host"),
        pytest.param(from_a_tenant(icmpv6(136, *GATEWAYS_V6)), id="advertisement of a tenant's machine"),
    ],
)
def test_everything_else_between_ipv6_gateways_is_other(frame: bytes) -> None:
    assert classify(frame, BOTH_FAMILIES) is Traffic.OTHER


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ipv6(50, bytes(40)), id="ESP over IPv6, where no gateway has it"),
        pytest.param(ipv4(17, ports(50000, 14789)), id="tunnel in clear"),
        pytest.param(ipv4(17, ports(50000, 4789)), id="another tunnel in clear"),
        pytest.param(ipv4(17, ports(50000, 14789), fragment=MORE_FRAGMENTS), id="first fragment of a tunnel"),
        pytest.param(ipv4(17, bytes(40), fragment=185), id="later fragment of a tunnel"),
        pytest.param(ipv4(17, ports(500, 500), fragment=MORE_FRAGMENTS), id="fragment of IKE"),
        pytest.param(ipv4(17, ports(500, 500), ("192.0.2.11", "203.0.113.1")), id="IKE with another host"),
        pytest.param(ipv4(50, bytes(40), ("10.20.0.5", "198.51.100.11")), id="ESP of another host"),
        pytest.param(ipv4(50, bytes(40), APIS), id="ESP between servers"),
        pytest.param(ipv4(1, bytes(40)), id="ping"),
        pytest.param(ipv4(47, bytes(40)), id="GRE"),
        pytest.param(ipv4(6, ports(40000, 6443), GATEWAYS), id="API port between gateways"),
        pytest.param(ipv4(6, ports(40000, 9696), APIS), id="another API"),
        pytest.param(ipv4(17, ports(40000, 6443), APIS), id="API port over UDP"),
        pytest.param(ipv4(17, ports(4500, 4500, b"\x12")), id="noise on port 4500"),
        pytest.param(ipv4(17, ports(500, 14789)), id="tunnel in clear from IKE's port"),
        pytest.param(ipv4(17, ports(14789, 500)), id="tunnel in clear to IKE's port"),
        pytest.param(ipv4(17, ports(4500, 14789, bytes(40))), id="tunnel in clear from the port of encapsulated ESP"),
        pytest.param(ipv4(17, ports(14789, 14789)), id="tunnel in clear from its own port"),
        pytest.param(ipv4(6, ports(40000, 6443), APIS, fragment=MORE_FRAGMENTS), id="fragment of the API"),
        pytest.param(ipv4(1, bytes(40), fragment=185), id="later fragment of a ping"),
        pytest.param(arp("10.20.0.5", "10.20.0.6"), id="ARP between a tenant's addresses"),
        pytest.param(from_a_tenant(arp("192.0.2.11", "192.0.2.1")), id="ARP of a tenant's machine"),
        pytest.param(arp("192.0.2.11", "198.51.100.11"), id="ARP across the router"),
        pytest.param(icmpv6(128), id="ping over IPv6"),
        pytest.param(icmpv6(135, source="2001:db8::1"), id="ND of a tenant's address"),
        pytest.param(from_a_tenant(icmpv6(133, MACHINE, ROUTERS)), id="router solicitation of a tenant's machine"),
        pytest.param(from_a_tenant(icmpv6(134, MACHINE, "ff02::1")), id="router advertisement of a tenant's machine"),
        pytest.param(from_a_tenant(icmpv6(135, "::", SOLICITED)), id="address detection of a tenant's machine"),
        pytest.param(from_a_tenant(icmpv6(136, MACHINE, "fe80::2")), id="advertisement of a tenant's machine"),
        pytest.param(from_a_tenant(icmpv6(143, "::", router_alert=True)), id="multicast report of a tenant's machine"),
        pytest.param(from_a_tenant(icmpv6(143, MACHINE, router_alert=True)), id="multicast report with its address"),
        pytest.param(ethernet(0x8100, bytes(60)), id="VLAN"),
        pytest.param(ethernet(0x88B5, bytes(60)), id="dataplane probe in clear"),
        pytest.param(ipv4(50, b"")[:20], id="cut short"),
        pytest.param(b"", id="empty"),
    ],
)
def test_everything_else_is_other(frame: bytes) -> None:
    assert classify(frame, EXPECTED) is Traffic.OTHER


def test_one_bad_frame_fails_the_summary_and_is_shown() -> None:
    good = [ipv4(50, bytes(40))] * 3
    summarise(good, EXPECTED).require_protected()
    summary = summarise([*good, ipv4(17, ports(50000, 14789))], EXPECTED)
    assert (summary.esp, summary.counts[Traffic.OTHER]) == (3, 1)
    with pytest.raises(AssertionError, match=r"192\.0\.2\.11 > 198\.51\.100\.11 protocol 17 port 50000 > 14789"):
        summary.require_protected()


def test_fragments_of_esp_in_udp_are_known_by_the_first_one() -> None:
    first = ipv4(17, ports(4500, 4500, bytes(range(1, 33))), fragment=MORE_FRAGMENTS)
    later, of_another = ipv4(17, bytes(40), fragment=185), ipv4(17, bytes(40), GATEWAYS[::-1], fragment=185)
    summary = summarise([first, later], EXPECTED)
    assert (summary.counts[Traffic.ESP_FRAGMENT], summary.in_udp, summary.clean) == (2, 2, True)
    assert summarise([later, first], EXPECTED).counts[Traffic.OTHER] == 1, "nothing is known of it yet"
    assert summarise([first, of_another], EXPECTED).counts[Traffic.OTHER] == 1
    in_clear = ipv4(17, ports(50000, 14789), fragment=MORE_FRAGMENTS)
    assert summarise([first, in_clear, later], EXPECTED).counts[Traffic.OTHER] == 2, "the identification is used again"


def test_mac_addresses_of_ethernet_interfaces_only() -> None:
    loopback = {"ifname": "lo", "link_type": "loopback", "address": "00:00:00:00:00:00"}
    cards = [{"ifname": f"cloud-{n}", "link_type": "ether", "address": f"0a:00:00:00:00:0{n}"} for n in (1, 2)]
    assert mac_addresses(json.dumps([loopback, *cards])) == {"0a:00:00:00:00:01", "0a:00:00:00:00:02"}
    assert mac_addresses("[]") == frozenset()


def test_dropped_frames_fail_the_summary() -> None:
    with pytest.raises(AssertionError):
        Summary(unrecorded=1).require_protected()


def test_pcap_is_read_up_to_its_last_complete_record(tmp_path: Path) -> None:
    frames = [ipv4(50, bytes(40)), arp("192.0.2.11", "192.0.2.1")]
    records = b"".join(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in frames)
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 256, 1)
    path = tmp_path / "wan.pcap"
    path.write_bytes(header + records + bytes(7))
    assert list(read_pcap(path)) == frames
    path.write_bytes(header[:20] + struct.pack("<I", 113))
    with pytest.raises(ValueError, match="not a capture of Ethernet frames"):
        list(read_pcap(path))
