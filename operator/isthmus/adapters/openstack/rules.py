"""Conversion between Neutron's JSON of security group rules and `model.facts.openstack`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from isthmus.model.facts.openstack import AllowedTraffic, SecurityGroupRule

from .canonical import cidr

_PROTOCOLS: Final = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
"""Neutron's names of IP protocols, with IANA's numbers."""
_NAMES: Final = {number: name for name, number in _PROTOCOLS.items()}
_FURTHER_NAMES: Final = {"icmpv6": 58}
_ANY: Final = {"any", "0"}
_ICMP, _ICMPV6 = 1, 58
_UNKNOWN, _MAX_NUMBER = -1, 255


def security_group_rules(documents: Iterable[Mapping[str, Any]]) -> tuple[SecurityGroupRule, ...]:
    """Rules, by ID."""
    found = (SecurityGroupRule(document["id"], _allowed(document)) for document in documents)
    return tuple(sorted(found, key=lambda rule: rule.id))


def rule_json(project_id: str, group_id: str, allowed: AllowedTraffic) -> dict[str, Any]:
    """A rule to create, in Neutron's format."""
    protocol = allowed.protocol
    return {
        "project_id": project_id,
        "security_group_id": group_id,
        "direction": allowed.direction,
        "ethertype": f"IPv{allowed.ip_version}",
        "protocol": None if protocol is None else _NAMES.get(protocol, str(protocol)),
        "port_range_min": allowed.first,
        "port_range_max": allowed.last,
        "remote_ip_prefix": allowed.remote_prefix,
        "remote_group_id": allowed.remote_group,
    }


def _allowed(document: Mapping[str, Any]) -> AllowedTraffic | None:
    version = {"IPv4": 4, "IPv6": 6}.get(document.get("ethertype") or "")
    protocol, prefix = document.get("protocol"), document.get("remote_ip_prefix")
    number, network = _number(protocol, version), cidr(prefix) if prefix else None
    if version is None or number == _UNKNOWN or (prefix and not network) or document.get("remote_address_group_id"):
        return None
    return AllowedTraffic(
        document["direction"],
        version,
        number,
        document.get("port_range_min"),
        document.get("port_range_max"),
        network,
        document.get("remote_group_id") or None,
    )


def _number(protocol: str | None, ip_version: int | None) -> int | None:
    """None for any. Neutron takes 0 for any protocol, and of IPv6 ICMP for ICMPv6."""
    text = str(protocol or "any").lower()
    if text in _ANY:
        return None
    number = int(text) if text.isdecimal() else (_PROTOCOLS | _FURTHER_NAMES).get(text, _UNKNOWN)
    if number > _MAX_NUMBER:
        return _UNKNOWN
    return _ICMPV6 if number == _ICMP and ip_version == 6 else number
