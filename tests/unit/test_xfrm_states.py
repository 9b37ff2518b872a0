"""XFRM states as messages of <linux/xfrm.h>: recorded from Linux 6.12 on x86-64, and generated."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.linux.netlink import decoded
from isthmus.adapters.linux.xfrm.messages import State
from isthmus.adapters.linux.xfrm.states import associations, encoded_id
from isthmus.model.node.ipsec import SecurityAssociation

# `proto esp mode transport aead rfc4106(gcm(aes))`; its key is 11 11 11...
AEAD_V4 = bytes.fromhex(
    "700100001000020002000000440000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000002000000000000000000000000000000c0000202000000000000000000000000c9faa11632000000"
    "c0000201000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "34ea076b0000000000000000000000000000000000000000000000000000000007000000020000000000000000000000"
    "70001200726663343130362867636d286165732929000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000020010000800000001111111111111111111111111111111111111111"
    "1111111111111111111111111111111110000a00000000000000000000000000"
)
# The same between IPv6 addresses.
AEAD_V6 = bytes.fromhex(
    "700100001000020002000000440000000000000000000000000000000000000000000000000000000000000000000000"
    "00000000000000000a00000000000000000000000000000020010db80000000000000000000000020000123432000000"
    "20010db8000000000000000000000001ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "35ea076b00000000000000000000000000000000000000000000000000000000080000000a0000000000000000000000"
    "70001200726663343130362867636d286165732929000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000020010000800000001111111111111111111111111111111111111111"
    "1111111111111111111111111111111110000a00000000000000000000000000"
)
# `proto esp mode tunnel auth hmac(sha256) enc cbc(aes)`; its keys are 22 22... and 33 33...
TUNNEL = bytes.fromhex(
    "400200001000020002000000440000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000c00002030000000000000000000000000000007732000000"
    "c0000201000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "35ea076b0000000000000000000000000000000000000000000000000000000009000000020001002000000000000000"
    "68000100686d616328736861323536290000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000010000222222222222222222222222222222222222222222222222"
    "22222222222222226c001400686d61632873686132353629000000000000000000000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000001000080000000222222222222222222222222"
    "222222222222222222222222222222222222222258000200636263286165732900000000000000000000000000000000"
    "000000000000000000000000000000000000000000000000000000000000000000000000000000008000000033333333"
    "333333333333333333333333240017000200000000000000000000000000000000000000400000000000000000000000"
)
# An SPI that was allocated for a negotiation (`ip xfrm state allocspi`).
LARVAL = bytes.fromhex(
    "00010000100002000200000044000000c0000202000000000000000000000000c0000201000000000000000000000000"
    "000000000000000000002020000000000000000000000000c00002020000000000000000000000000000010132000000"
    "c0000201000000000000000000000000ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
    "00000000000000001e000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "35ea076b0000000000000000000000000000000000000000000000000000000007000000020000000000000000000000"
    "10000a00000000000000000000000000"
)
DUMP = [AEAD_V4, AEAD_V6, TUNNEL, LARVAL]
FOUND = [
    SecurityAssociation("192.0.2.1", "192.0.2.2", 0xC9FAA116, "esp", 7),
    SecurityAssociation("2001:db8::1", "2001:db8::2", 0x1234, "esp", 8),
    SecurityAssociation("192.0.2.1", "192.0.2.3", 0x77, "esp", 9),
]
_PROTOCOL_OFFSET, _FAMILY_OFFSET = 16 + 56 + 20, 16 + 212

ADDRESSES = st.one_of(*(st.tuples(*[st.ip_addresses(v=version).map(str)] * 2) for version in (4, 6)))


@st.composite
def states(draw: st.DrawFn) -> SecurityAssociation:
    source, destination = draw(ADDRESSES)
    number = st.integers(0, 0xFFFFFFFF)
    return SecurityAssociation(
        source, destination, draw(number), draw(st.sampled_from(["esp", "ah", "comp"])), draw(number)
    )


def listed(association: SecurityAssociation, algorithm: int | None = 18) -> bytes:
    """A state as in a dump, with the attribute of an algorithm."""
    name = encoded_id(association)
    source = encoded_id(SecurityAssociation(association.destination, association.source, 0, "esp", 0))
    message = State()
    message.update(
        id_daddr=name["daddr"],
        spi=name["spi"],
        id_proto=name["proto"],
        source=source["daddr"],
        reqid=association.reqid,
        id_family=name["family"],
    )
    message.encode()
    attribute = b"" if algorithm is None else struct.pack("=HH", 8, algorithm) + b"key!"
    return struct.pack("=I", len(message.data) + len(attribute)) + bytes(message.data[4:]) + attribute


def test_states_with_keys_are_listed() -> None:
    assert list(associations(DUMP)) == FOUND
    assert list(associations([])) == []


@pytest.mark.parametrize("raw", [AEAD_V4, AEAD_V6, TUNNEL])
def test_keys_are_never_decoded(raw: bytes) -> None:
    message = decoded(State, raw)
    assert message is not None
    values = [*_values(message), repr(message), repr(dict(message))]
    for key in (b"\x11" * 16, b"\x22" * 16, b"\x33" * 16):
        for value in values:
            assert key not in (value if isinstance(value, bytes) else str(value).encode())
            assert key.hex() not in str(value)


def _values(message: Any) -> list[Any]:
    return [*message.values(), *(attribute.value for attribute in message["attrs"])]


@given(st.lists(st.tuples(states(), st.sampled_from([None, 1, 2, 3, 18, 20]))))
def test_state_round_trip(expected: list[tuple[SecurityAssociation, int | None]]) -> None:
    dump = [listed(association, algorithm) for association, algorithm in expected]
    assert list(associations(dump)) == [association for association, algorithm in expected if algorithm is not None]


@pytest.mark.parametrize(("offset", "value"), [(_PROTOCOL_OFFSET, 43), (_FAMILY_OFFSET, 99)])
def test_foreign_or_malformed_states_are_skipped(offset: int, value: int) -> None:
    strange = AEAD_V4[:offset] + bytes([value]) + AEAD_V4[offset + 1 :]
    assert list(associations([strange, AEAD_V6, AEAD_V4[:100], b"", TUNNEL])) == FOUND[1:]


@given(st.binary(max_size=400))
def test_random_bytes_are_skipped(noise: bytes) -> None:
    assert list(associations([noise, AEAD_V4])) == FOUND[:1]


@given(st.integers(0, len(TUNNEL) - 1), st.binary(min_size=1, max_size=40), st.sampled_from(DUMP))
def test_corrupted_states_are_no_error(offset: int, noise: bytes, original: bytes) -> None:
    list(associations([original[:offset] + noise + original[offset + len(noise) :], original[:offset] + noise]))


@given(states())
def test_state_is_identified_by_destination_protocol_and_spi(association: SecurityAssociation) -> None:
    message = encoded_id(association)
    message.encode()
    payload = bytes(message.data[16:])
    assert len(payload) == 24
    assert int.from_bytes(payload[16:20], "big") == association.spi
