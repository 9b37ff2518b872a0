"""Block policies as messages of <linux/xfrm.h>: recorded from Linux 6.18 on x86-64, and generated."""

from __future__ import annotations

import struct
from ipaddress import IPv4Network, IPv6Network, ip_network
from socket import IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_UDP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.linux.xfrm import messages
from isthmus.adapters.linux.xfrm.policies import (
    OwnPolicy,
    by_index,
    by_selector,
    encoded,
    index_of,
    own_indexes,
    own_policy,
)
from isthmus.model.node.ipsec import BlockPolicy
from isthmus.model.node.traffic import AnyTraffic, IcmpType, Prefix, Selector, Traffic, UdpPorts

# A block policy of ours: `dir in src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport 14789`.
OURS = bytes.fromhex(
    "c40000001300020001000000070000000000000000000000000000000000000000000000000000000000000000000000"
    "39c5ffff0000000002000000110000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffff00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000007ce9076b000000000000000000000000a0bb0d00b88b0f9000010000000000000a00100000000000"
    "00000000"
)
# A trap policy like charon's: `dir out src 192.0.2.1/32 dst 192.0.2.2/32 proto udp dport 14789 tmpl proto esp reqid 7`.
CHARONS = bytes.fromhex(
    "08010000130002000100000007000000c0000202000000000000000000000000c0000201000000000000000000000000"
    "39c5ffff0000000002002020110000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffff"
    "ffffffffffffffff00000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000007ce9076b0000000000000000000000003f9905000100000001000000000000004400050000000000"
    "000000000000000000000000000000003200000002000000000000000000000000000000000000000700000000000000"
    "ffffffffffffffffffffffff0a0010000000000000000000"
)
IN = BlockPolicy("in", Selector(IPv4Network("0.0.0.0/0"), IPv4Network("0.0.0.0/0"), UdpPorts(destination=14789)))
_COUNTERS = slice(136, 168)  # struct xfrm_lifetime_cur
_ATTRIBUTES = 184

NUMBER = st.one_of(st.none(), st.integers(0, 65535))
_OTHERS = sorted(set(range(256)) - {IPPROTO_ICMP, IPPROTO_UDP, IPPROTO_ICMPV6})
TRAFFIC: st.SearchStrategy[Traffic] = st.one_of(
    st.builds(UdpPorts, NUMBER, NUMBER),
    st.builds(IcmpType, NUMBER, NUMBER),
    st.builds(AnyTraffic, st.sampled_from(_OTHERS)),
)
PREFIXES = {
    4: st.builds(lambda a, n: ip_network((a, n), strict=False), st.ip_addresses(v=4).map(int), st.integers(0, 32)),
    6: st.builds(lambda a, n: IPv6Network((a, n), strict=False), st.ip_addresses(v=6).map(int), st.integers(0, 128)),
}


@st.composite
def blocks(draw: st.DrawFn) -> BlockPolicy:
    prefixes: st.SearchStrategy[Prefix] = PREFIXES[draw(st.sampled_from([4, 6]))]
    return BlockPolicy(draw(st.sampled_from(["in", "out"])), Selector(draw(prefixes), draw(prefixes), draw(TRAFFIC)))


def raw(block: BlockPolicy, index_: int, **changed: int) -> bytes:
    message = encoded(block, index_)
    message.update(changed)
    message.encode()
    return bytes(message.data)


@pytest.mark.parametrize(
    ("kind", "size"),
    [(messages.Policy, 168), (messages.PolicyID, 64), (messages.State, 224), (messages.StateID, 24)],
)
def test_messages_have_the_size_of_the_kernels_structures(kind: type[messages.XfrmMessage], size: int) -> None:
    message = kind()
    message.encode()
    assert len(message.data) == 16 + size


def test_encoded_policy_equals_the_recorded_one() -> None:
    sent = raw(IN, index_of(OURS))
    assert len(sent) == _ATTRIBUTES
    for part in (slice(16, _COUNTERS.start), slice(_COUNTERS.stop, _ATTRIBUTES)):
        assert sent[part] == OURS[part]


def test_own_policy_is_identified_by_its_index() -> None:
    assert own_policy(OURS) == OwnPolicy(IN, own_indexes(IN)[0], has_own_index=True, current=True)
    assert own_policy(CHARONS) is None


@given(blocks())
def test_policy_round_trip(block: BlockPolicy) -> None:
    for index in own_indexes(block):
        assert own_policy(raw(block, index)) == OwnPolicy(block, index, has_own_index=True, current=True)


@given(blocks())
def test_own_indexes_contain_the_direction_and_are_above_the_kernels(block: BlockPolicy) -> None:
    assert {index & 7 for index in own_indexes(block)} == {messages.IN if block.direction == "in" else messages.OUT}
    assert all(0x80000000 <= index <= 0xFFFFFFFF for index in own_indexes(block))


@given(blocks(), blocks())
def test_index_of_another_selector_is_not_own(block: BlockPolicy, other: BlockPolicy) -> None:
    if block.direction == other.direction and block != other:
        assert own_policy(raw(block, own_indexes(other)[0], priority=5)) is None


@given(
    blocks(),
    st.sampled_from(
        [
            {"priority": 5},
            {"action": messages.ALLOW},
            {"flags": 1},
            {"hard_byte_limit": 9},
            {"hard_add_expires_seconds": 9},
        ]
    ),
)
def test_changed_policy_is_outdated(block: BlockPolicy, changed: dict[str, int]) -> None:
    index = own_indexes(block)[0]
    assert own_policy(raw(block, index, **changed)) == OwnPolicy(block, index, has_own_index=True, current=False)
    assert own_policy(raw(block, 8, **changed)) is None, "without its index it is foreign"


@pytest.mark.parametrize("attribute", [5, 21, 31])
def test_policy_with_template_mark_or_interface_is_outdated(attribute: int) -> None:
    longer = struct.pack("=I", len(OURS) + 12) + OURS[4:] + struct.pack("=HHQ", 12, attribute, 1)
    assert own_policy(longer) == OwnPolicy(IN, own_indexes(IN)[0], has_own_index=True, current=False)


@given(blocks())
def test_block_without_own_index_is_outdated(block: BlockPolicy) -> None:
    assert own_policy(raw(block, 8)) == OwnPolicy(block, 8, has_own_index=False, current=False)


@given(blocks())
def test_policy_is_identified_by_selector_or_by_index(block: BlockPolicy) -> None:
    name = by_selector(block)
    name.encode()
    assert name.data[16:72] == raw(block, 0)[16:72]
    assert (name["index"], name["dir"]) == (0, own_indexes(block)[0] & 7)
    name = by_index(OwnPolicy(block, own_indexes(block)[0], has_own_index=True, current=True))
    assert (name["index"], name["dir"]) == (own_indexes(block)[0], own_indexes(block)[0] & 7)


@pytest.mark.parametrize(
    "changed",
    [
        {"ifindex": 2},
        {"user": 7},
        {"dport_mask": 0xFF00},
        {"family": 99},
        {"prefixlen_s": 33},
        {"dir": 2, "index": 0},
    ],
)
def test_unsupported_selectors_are_foreign(changed: dict[str, int]) -> None:
    assert own_policy(raw(IN, 8, **changed)) is None


@given(st.binary(max_size=400))
def test_random_bytes_are_foreign(noise: bytes) -> None:
    assert own_policy(noise) is None


@given(st.integers(0, len(OURS) - 1), st.binary(min_size=1, max_size=40), st.sampled_from([OURS, CHARONS]))
def test_corrupted_policies_are_no_error(offset: int, noise: bytes, original: bytes) -> None:
    own_policy(original[:offset] + noise + original[offset + len(noise) :])
    own_policy(original[:offset] + noise)
    own_policy(original[:offset])
