"""Ethernet frames, built byte by byte."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

BROADCAST = "ff" * 6


def frame(destination: str, source: str, rest: str) -> bytes:
    """A frame of minimum length; `rest` begins with the ethertype."""
    octets = bytes.fromhex(destination.replace(":", "") + source.replace(":", "") + rest)
    return octets.ljust(64, b"\0")


def ipv4_udp(
    source: str, destination: str, source_port: int, destination_port: int, payload: bytes = b"", ttl: int = 64
) -> str:
    """A UDP datagram without a checksum."""
    addresses = _packed(source) + _packed(destination)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, ttl, 17, 0) + addresses
    total = sum(struct.unpack("!10H", header))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:10] + checksum.to_bytes(2) + header[12:]
    datagram: bytes = header + struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0) + payload
    return "0800" + datagram.hex()


def ipv6_udp(source_port: int, destination_port: int) -> str:
    """An empty datagram from fe80::1 to all DHCP servers (RFC 8415)."""
    addresses = "fe80" + "00" * 13 + "01" + "ff02" + "00" * 10 + "00010002"
    header = struct.pack("!HHHH", source_port, destination_port, 8, 0)
    return "86dd" + "60000000" + "0008" + "11ff" + addresses + header.hex()


def icmpv6(type_: int) -> str:
    """A message of 16 bytes from fe80::1 to all nodes, hop limit 255 (RFC 4861)."""
    addresses = "fe80" + "00" * 13 + "01" + "ff02" + "00" * 13 + "01"
    return "86dd" + "60000000" + "0010" + "3aff" + addresses + f"{type_:02x}" + "00" * 15


def neighbour_discovery(type_: int, source: str, destination: str, target: str, mac: str) -> str:
    """A solicitation (135) or advertisement (136), with the sender's MAC address as its option (RFC 4861)."""
    option = f"{136 - type_ or 2:02x}01" + mac.replace(":", "")
    return ipv6(source, destination, 58, 255, f"{type_:02x}000000" + "20000000" + _packed6(target) + option)


def listener_report(source: str, group: str) -> str:
    """A report of a listener of a multicast group to all routers that can (MLDv2; RFC 3810)."""
    record = "04000000" + _packed6(group)
    return ipv6(source, "ff02::16", 0, 1, "3a00" + "05020000" + "0100" + "8f000000" + "00000001" + record)


def ipv6(source: str, destination: str, next_header: int, hop_limit: int, payload: str) -> str:
    """A packet, whose payload has no checksum."""
    lengths = f"{len(payload) // 2:04x}{next_header:02x}{hop_limit:02x}"
    return "86dd" + "60000000" + lengths + _packed6(source) + _packed6(destination) + payload


def bfd_down(my_discriminator: int) -> bytes:
    """A BFD control packet with state Down (RFC 5880, section 4.1)."""
    return struct.pack("!BBBBIIIII", 0x20, 0x40, 3, 24, my_discriminator, 0, 300_000, 300_000, 0)


def arp(operation: int, mac: str, sender: str, target: str) -> str:
    """An ARP request (1) or reply (2)."""
    mac = mac.replace(":", "")
    return f"0806000108000604{operation:04x}{mac}{_packed(sender).hex()}{'00' * 6}{_packed(target).hex()}"


def what_never_crosses(mac: str) -> dict[str, bytes]:
    """Frames of a machine that br-int forwards and br-cloud must drop."""
    return {
        "DHCP discover": frame(BROADCAST, mac, ipv4_udp("0.0.0.0", "255.255.255.255", 68, 67)),
        "DHCP offer": frame(BROADCAST, mac, ipv4_udp("10.20.0.2", "255.255.255.255", 67, 68)),
        "DHCPv6 solicit": frame("33:33:00:01:00:02", mac, ipv6_udp(546, 547)),
        "router solicitation": frame("33:33:00:00:00:02", mac, icmpv6(133)),
        "router advertisement": frame("33:33:00:00:00:01", mac, icmpv6(134)),
        "redirect": frame("33:33:00:00:00:01", mac, icmpv6(137)),
        "VLAN tag": frame(BROADCAST, mac, "81000007" + ipv4_udp("10.20.0.9", "10.20.0.255", 9, 9)),
        "spanning tree": frame("01:80:c2:00:00:00", mac, "0026424203"),
        "metadata request": frame(BROADCAST, mac, ipv4_udp("10.20.0.9", "169.254.169.254", 1234, 80)),
        "metadata ARP": frame(BROADCAST, mac, arp(1, mac, "10.20.0.9", "169.254.169.254")),
        "echo ethertype": frame(BROADCAST, mac, "88b5"),
        "echo request": frame("02:69:73:74:68:01", mac, "88b5"),
        "group source": frame(BROADCAST, "03:00:00:00:00:01", ipv4_udp("10.20.0.9", "10.20.0.255", 9, 9)),
    }


def _packed6(address: str) -> str:
    return IPv6Address(address).packed.hex()


def _packed(address: str) -> bytes:
    return bytes(map(int, address.split(".")))
