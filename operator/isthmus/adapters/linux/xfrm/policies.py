"""Block policies as messages, and the indexes that identify them as ours.

Whoever creates a policy may choose its index, as long as it is unused and its lower three bits are the direction; an
update keeps it. The index of ours is a digest of direction and selector: it identifies them whatever their priority
and action are by now. Indexes that the kernel assigns count up from 8 and do not reach ours.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_network
from socket import AF_INET, AF_INET6, IPPROTO_UDP
from typing import Final

from isthmus.model.node.ipsec import BlockPolicy
from isthmus.model.node.traffic import AnyTraffic, IcmpType, Prefix, Selector, Traffic, UdpPorts

from ..netlink import HEADER, decoded
from .messages import BLOCK, DIRECTION_MASK, IN, LIMITS, OUT, UNLIMITED, WHOLE_PORT, Policy, PolicyID

# A number below charon's (about 367,000 for our selectors) would win over its policies, and over the SAs with them.
BLOCK_PRIORITY: Final = 900_000
_FORMER_PRIORITY: Final = 900_000
"""Of the block policies of releases that left the index to the kernel: else they are exactly like ours."""

DIRECTIONS: Final = {"in": IN, "out": OUT}
_FAMILIES: Final = {4: AF_INET, 6: AF_INET6}
_ADDRESS_BYTES: Final = {AF_INET: 4, AF_INET6: 16}

_SELECTOR: Final = slice(HEADER.size, HEADER.size + 56)
_HEAD: Final = struct.Struct("=IIBB")  # priority, index, dir, action
_HEAD_OFFSET: Final = HEADER.size + 152
_SIZE: Final = HEADER.size + 168
_INDEXES: Final = 4  # to choose from, in case that another policy has one of them
_LOWEST_INDEX: Final = 0x80000000
_FOREIGN_ATTRIBUTES: Final = frozenset({"XFRMA_TMPL", "XFRMA_MARK", "XFRMA_IF_ID"})


@dataclass(frozen=True)
class OwnPolicy:
    """A policy of ours in the kernel."""

    block: BlockPolicy
    index: int
    has_own_index: bool
    current: bool
    """Equal to what this release would create."""


def encoded(block: BlockPolicy, index: int) -> Policy:
    """The policy that this release creates for a block; it never expires."""
    message = Policy()
    _set_selector(message, block.selector)
    message.update(dict.fromkeys(LIMITS, UNLIMITED))
    message.update(index=index, dir=DIRECTIONS[block.direction], action=BLOCK, priority=BLOCK_PRIORITY)
    return message


def by_selector(block: BlockPolicy) -> PolicyID:
    """Identifies the policy with the selector of a block, whoever created it."""
    message = PolicyID()
    _set_selector(message, block.selector)
    message["dir"] = DIRECTIONS[block.direction]
    return message


def by_index(own: OwnPolicy) -> PolicyID:
    """Identifies this policy and no other one with the same selector."""
    message = PolicyID()
    message.update(index=own.index, dir=DIRECTIONS[own.block.direction])
    return message


def own_indexes(block: BlockPolicy) -> tuple[int, ...]:
    """The indexes that identify a policy as ours, in order of preference."""
    message = encoded(block, 0)
    message.encode()
    return _own_indexes(bytes(message.data[_SELECTOR]), DIRECTIONS[block.direction])


def index_of(raw: bytes) -> int:
    """The index of a policy in a dump."""
    index: int = _HEAD.unpack_from(raw, _HEAD_OFFSET)[1]
    return index


def own_policies(dump: Iterable[bytes]) -> Iterator[OwnPolicy]:
    """Our policies in a dump."""
    for raw in dump:
        if own := own_policy(raw):
            yield own


def own_policy(raw: bytes) -> OwnPolicy | None:
    """Decode a policy if it is ours. Foreign policies, usually the majority, are not even decoded."""
    if len(raw) < _SIZE:
        return None
    priority, index, direction, action = _HEAD.unpack_from(raw, _HEAD_OFFSET)
    has_own_index = index in _own_indexes(raw[_SELECTOR], direction)
    if not has_own_index and (priority, action) != (_FORMER_PRIORITY, BLOCK):
        return None
    message = decoded(Policy, raw)
    selector = message and _selector(message)
    if message is None or selector is None or direction not in (IN, OUT):
        return None
    as_created = _is_as_created(message)
    if not has_own_index and not as_created:
        return None
    return OwnPolicy(
        BlockPolicy("in" if direction == IN else "out", selector), index, has_own_index, has_own_index and as_created
    )


def _own_indexes(selector: bytes, direction: int) -> tuple[int, ...]:
    digest = blake2b(selector + bytes([direction]), digest_size=4 * _INDEXES, person=b"isthmus-policy").digest()
    words = struct.unpack(f">{_INDEXES}I", digest)
    return tuple(word & ~DIRECTION_MASK | direction | _LOWEST_INDEX for word in words)


def _is_as_created(message: Policy) -> bool:
    """Whether priority, action and lifetime are as `encoded` sets them, and nothing was added."""
    expiries = [value for name, value in message.items() if name.endswith("_expires_seconds")]
    return (
        (message["action"], message["priority"], message["flags"]) == (BLOCK, BLOCK_PRIORITY, 0)
        and all(message[limit] == UNLIMITED for limit in LIMITS)
        and not any(expiries)
        and not any(attribute.name in _FOREIGN_ATTRIBUTES for attribute in message["attrs"])
    )


def _set_selector(message: Policy | PolicyID, selector: Selector) -> None:
    first, second = _ports(selector.traffic)
    message.update(
        family=_FAMILIES[selector.source.version],
        saddr=_padded(selector.source),
        daddr=_padded(selector.destination),
        prefixlen_s=selector.source.prefixlen,
        prefixlen_d=selector.destination.prefixlen,
        proto=selector.protocol,
        sport=first or 0,
        sport_mask=0 if first is None else WHOLE_PORT,
        dport=second or 0,
        dport_mask=0 if second is None else WHOLE_PORT,
    )


def _ports(traffic: Traffic) -> tuple[int | None, int | None]:
    """The kernel has an ICMP message's type and code where UDP has ports."""
    match traffic:
        case UdpPorts(first, second) | IcmpType(first, second):
            return first, second
        case AnyTraffic():
            return None, None


def _traffic(protocol: int, ip_version: int, first: int | None, second: int | None) -> Traffic:
    """Raises ValueError for what ours never have: ports of another protocol than UDP."""
    if protocol == IPPROTO_UDP:
        return UdpPorts(first, second)
    if protocol == IcmpType().protocol_number(ip_version):
        return IcmpType(first, second)
    if (first, second) != (None, None):
        raise ValueError(f"ports of protocol {protocol}")
    return AnyTraffic(protocol)


def _selector(message: Policy) -> Selector | None:
    """None for selectors that ours never have: of a device or user, with part of a port's bits, of no valid prefix."""
    if message["ifindex"] or message["user"] or {message["sport_mask"], message["dport_mask"]} - {0, WHOLE_PORT}:
        return None
    first = message["sport"] if message["sport_mask"] else None
    second = message["dport"] if message["dport_mask"] else None
    try:
        source, destination = _prefix(message, "saddr", "prefixlen_s"), _prefix(message, "daddr", "prefixlen_d")
        return Selector(source, destination, _traffic(message["proto"], source.version, first, second))
    except (ValueError, LookupError):
        return None


def _padded(prefix: Prefix) -> bytes:
    return prefix.network_address.packed.ljust(16, b"\0")


def _prefix(message: Policy, address: str, length: str) -> Prefix:
    return ip_network((message[address][: _ADDRESS_BYTES[message["family"]]], message[length]))
