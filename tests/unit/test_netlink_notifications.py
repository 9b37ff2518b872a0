"""Interpretation of netlink notifications; those of nftables were recorded from Linux 6.18."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.linux.monitor import _firewall_change, _xfrm_change
from isthmus.adapters.linux.netlink import HEADER, split
from isthmus.adapters.linux.xfrm import messages
from isthmus.model.node.host import KernelChange

NOTHING = KernelChange(0)
# `nft 'add table inet isthmus; add chain inet isthmus c; add rule inet isthmus c counter'`
ADDED = bytes.fromhex(
    "3c000000000a00000100000014000000010000020c000100697374686d75730008000300000000010c00040000000000"
    "0000000108000200000000003c000000030a00040200000014000000010000020c000100697374686d75730006000300"
    "630000000c0002000000000000000001080006000000000164000000060a000c0300000014000000010000020c000100"
    "697374686d75730006000200630000000c0003000000000000000002300004002c0001000c000100636f756e74657200"
    "1c0002000c00010000000000000000000c0002000000000000000000"
)
END = bytes.fromhex("2c0000000f0a0000010000001400000000000002080001000000000208000200000015f4080003006e667400")


def test_transaction_names_its_table() -> None:
    assert len(list(split(ADDED))) == 3
    assert _firewall_change("isthmus", ADDED) == KernelChange.FIREWALL
    assert _firewall_change("isthmu", ADDED) == NOTHING
    assert _firewall_change("isthmus", END) == NOTHING


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (messages.NEWPOLICY, NOTHING),
        (messages.UPDPOLICY, KernelChange.POLICIES),
        (messages.DELPOLICY, KernelChange.POLICIES),
        (messages.FLUSHPOLICY, KernelChange.POLICIES),
        (messages.NEWSA, KernelChange.ASSOCIATIONS),
        (messages.UPDSA, KernelChange.ASSOCIATIONS),
        (messages.ACQUIRE, NOTHING),
        (messages.DELSA, KernelChange.ASSOCIATIONS),
        (messages.FLUSHSA, KernelChange.ASSOCIATIONS),
        (messages.EXPIRE, KernelChange.ASSOCIATIONS),
    ],
)
def test_whatever_may_need_an_answer_counts(kind: int, change: KernelChange) -> None:
    assert _xfrm_change(HEADER.pack(HEADER.size, kind, 0, 0, 0)) == change


@given(st.binary(max_size=200))
def test_random_bytes_are_no_error(noise: bytes) -> None:
    _xfrm_change(noise)
    _firewall_change("isthmus", noise)


@given(st.integers(0, len(ADDED)), st.binary(max_size=20))
def test_corrupted_transactions_are_no_error(offset: int, noise: bytes) -> None:
    _firewall_change("isthmus", ADDED[:offset] + noise + ADDED[offset + len(noise) :])


@given(st.lists(st.binary(max_size=50)))
def test_datagram_is_split_into_messages(payloads: list[bytes]) -> None:
    sent = [struct.pack("=I", 16 + len(p)) + bytes(12) + p for p in payloads]
    padded = [message.ljust((len(message) + 3) // 4 * 4, b"\0") for message in sent]
    assert list(split(b"".join(padded))) == sent


def test_invalid_length_ends_the_datagram() -> None:
    for length in (0, 15, 17, 0xFFFFFFFF):
        assert list(split(struct.pack("=I", length) + bytes(12))) == []
