"""Bounded scalar types. Everything a person or another cloud writes passes through these."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints
from pydantic.config import JsonDict

from .addresses import (
    NEVER_OF_GATEWAYS,
    NEVER_PUBLIC,
    canonical_address,
    canonical_cidr,
    canonical_ipv4_address,
    public_address,
    written_cidr,
)
from .text import PRINTABLE_PATTERN, printable


def cel_rule(rule: str, message: str) -> JsonDict:
    """What the API server checks besides the schema, in its Common Expression Language: `json_schema_extra`."""
    return cel_rules((rule, message))


def cel_rules(*rules: tuple[str, str]) -> JsonDict:
    """Several of them, each with the message of its refusal."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def _existing_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


_OCTET = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4_PATTERN = rf"^{_OCTET}(\.{_OCTET}){{3}}$"

_GROUP = r"(0|[1-9a-f][0-9a-f]{0,3})"


def _ipv6_forms() -> tuple[str, ...]:
    """IPv6 addresses by where `::` is, without the names of interfaces: lower case, no leading zeros (RFC 5952)."""
    compressed = (rf"({_GROUP}:){{{n}}}(:{_GROUP}){{1,{7 - n}}}" for n in range(1, 7))
    return rf"({_GROUP}:){{7}}{_GROUP}", rf"({_GROUP}:){{1,7}}:", *compressed, rf":((:{_GROUP}){{1,7}}|:)"


_IPV4 = rf"{_OCTET}(\.{_OCTET}){{3}}"
_IPV6 = rf"({'|'.join(_ipv6_forms())})"
IPV6_PATTERN = rf"^{_IPV6}$"
IP_PATTERN = rf"^({_IPV4}|{_IPV6})$"
CIDR_PATTERN = rf"^({_IPV4}/(3[0-2]|[12]?[0-9])|{_IPV6}/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))$"
_MAX_IPV6_CHARACTERS = 39

# A DNS label of at most 40 characters: `isthmus-peer-<cloudID>` must be a namespace name (63).
CloudID = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=40)]
ObjectName = Annotated[
    str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", min_length=1, max_length=253)
]
GatewayName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$", max_length=63)]
# Neutron's identifiers are UUIDs with dashes, Keystone's projects 32 hexadecimal digits without.
NETWORK_ID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
NetworkID = Annotated[str, StringConstraints(pattern=NETWORK_ID.pattern, max_length=36)]
ProjectID = Annotated[str, StringConstraints(pattern=r"^[0-9a-z][-0-9a-z]{0,63}$", max_length=64)]
MACAddress = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}$", max_length=17)]
IPv4Address = Annotated[
    str, StringConstraints(pattern=IPV4_PATTERN, max_length=15), AfterValidator(canonical_ipv4_address)
]
# What the pattern cannot say the API server must: an object that it stores and we cannot parse would stop us.
_NETWORK_ADDRESS = (
    "isCIDR(self) && cidr(self) == cidr(self).masked()",
    "must be a network address: no bits set behind the prefix",
)
# Addresses in either family, of gateways and of tenants.
IPAddress = Annotated[
    str,
    StringConstraints(pattern=IP_PATTERN, max_length=_MAX_IPV6_CHARACTERS),
    AfterValidator(canonical_address),
]
IPv6Address = Annotated[
    str,
    StringConstraints(pattern=IPV6_PATTERN, max_length=_MAX_IPV6_CHARACTERS),
    AfterValidator(canonical_address),
]
SubnetCIDR = Annotated[
    str,
    StringConstraints(pattern=CIDR_PATTERN, max_length=_MAX_IPV6_CHARACTERS + 4),
    AfterValidator(canonical_cidr),
    Field(json_schema_extra=cel_rule(*_NETWORK_ADDRESS)),
]
# The API server refuses what is not in the form of RFC 5952, so that texts can be compared; we understand it.
PublicIPAddress = Annotated[
    IPAddress,
    AfterValidator(public_address),
    Field(
        json_schema_extra=cel_rules(
            (
                "isIP(self) && ip.isCanonical(self)",
                "must be an address in its usual form (RFC 5952: 2001:db8::1)",
            ),
            (
                f"!isIP(self) || {[*NEVER_PUBLIC]}.all(never, !cidr(never).containsIP(ip(self)))",
                "must be an address of one host that routers forward to: not unspecified (0.0.0.0/8, ::), loopback, "
                "link-local, multicast or class E (240.0.0.0/4)",
            ),
        )
    ),
]
GatewayCIDR = Annotated[
    str,
    StringConstraints(pattern=CIDR_PATTERN, max_length=_MAX_IPV6_CHARACTERS + 4),
    AfterValidator(written_cidr),
    Field(
        json_schema_extra=cel_rules(
            _NETWORK_ADDRESS,
            (
                "!isCIDR(self) || ip.isCanonical(self.split('/')[0])",
                "must be in its usual form (RFC 5952: 2001:db8::/32)",
            ),
            (
                f"!isCIDR(self) || {[*NEVER_OF_GATEWAYS]}.all(never, !cidr(never).containsCIDR(cidr(self)))",
                "must have addresses that gateways can have: not only unspecified (0.0.0.0/8, ::), loopback, "
                "multicast, class E (240.0.0.0/4) or IPv6 link-local ones",
            ),
        )
    ),
]
TIME_PATTERN = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
# RFC 3339. With `format: date-time` instead, an API server stores a list where the string should be.
Time = Annotated[
    str,
    StringConstraints(pattern=TIME_PATTERN, max_length=35),
    AfterValidator(_existing_time),
    Field(json_schema_extra=cel_rule("timestamp(self).getFullYear() > 0", "must be a time that exists")),
]
# Text of others is made printable wherever it is parsed: a name that is odd must not make an object malformed.
Printable = BeforeValidator(lambda value: printable(value) if isinstance(value, str) else value)
# A security group's name as it is: replacing characters could make two names one.
MAX_GROUP_NAME_CHARACTERS = 64
SecurityGroupName = Annotated[
    str, StringConstraints(pattern=PRINTABLE_PATTERN, min_length=1, max_length=MAX_GROUP_NAME_CHARACTERS)
]
# Free text (Neutron's names).
DisplayName = Annotated[str, StringConstraints(pattern=PRINTABLE_PATTERN, max_length=255), Printable]
# A message for another cloud's administrators.
Remark = Annotated[str, StringConstraints(pattern=PRINTABLE_PATTERN, max_length=1024), Printable]
Message = Annotated[str, StringConstraints(pattern=PRINTABLE_PATTERN, max_length=1024), Printable]
ReasonText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9]*$", max_length=64)]
# `metadata.generation`. An API server holds a maximum as a floating-point number: no larger one is exact.
# "2/3": so many of so many. Printer columns cannot count, and show the first element of a list only.
Ratio = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}/[0-9]{1,6}$", max_length=13)]
Generation = Annotated[int, Field(ge=0, le=2**53 - 1)]
ReaderRevision = Annotated[int, Field(ge=1, le=1_000_000)]
# A power of two, which a schema says most plainly by listing them.
BucketCount = Literal[1, 2, 4, 8, 16, 32, 64, 128, 256]
ObjectUID = Annotated[str, StringConstraints(max_length=64)]

TunnelID = Annotated[int, Field(ge=1, le=0xFFFFFF)]  # 24 bits: a VNI (RFC 7348, RFC 8926), and as a key of GRE no more
MAX_MEMBER_NUMBER = 254
MemberNumber = Annotated[int, Field(ge=1, le=MAX_MEMBER_NUMBER)]  # of a cloud in one network
UDPPort = Annotated[int, Field(ge=1024, le=65535)]
PortNumber = Annotated[int, Field(ge=0, le=65535)]
MINIMUM_MTU, MAXIMUM_MTU = 576, 65535  # what every IPv4 host must accept (RFC 791), and what a packet can be
MINIMUM_IPV6_MTU = 1280  # of every link that IPv6 uses (RFC 8200, section 5)
MTU = Annotated[int, Field(ge=MINIMUM_MTU, le=MAXIMUM_MTU)]

NEUTRON_TUNNEL_PORTS = frozenset({4789, 6081, 8472})  # VXLAN, Geneve and Linux' former VXLAN port: Neutron may use them
