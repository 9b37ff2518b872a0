"""Secrets that are missing, mistyped or replaced at the wrong moment, with whole agents: named, nothing in clear, and
everything heals with the right one. tests/unit/test_ipsec_plan.py has more that is no key.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial

import pytest
from vici import Session

from isthmus.model import names
from tests.kernel.agreements import connection_of, reason_of
from tests.kernel.losses import dropping
from tests.kernel.side import PSK, Side, pair_of
from tests.testbed.host.process import wait_until

FAR = "10.20.0.12"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
IKE_AUTH = "udp dport 500 @th,208,8 35"  # the exchange type in the header of IKE, behind that of UDP (RFC 7296, 3.1)
SAS = 4
Sides = tuple[Side, Side]


def _entry(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _delete(side: Side) -> None:
    side.kubectl.delete_manifest("v1", "Secret", "psk", names.IPSEC_NAMESPACE)
    side.watch.wake()


def _store(side: Side, **entries: str) -> None:
    side.store_secret(entries)


UNUSABLE: dict[str, tuple[Callable[[Side], None], str]] = {
    "missing": (_delete, "KeyNotFound"),
    "other name": (partial(_store, PSK=_entry(PSK)), "KeyNotFound"),
    "byte order mark": (partial(_store, psk=_entry(BYTE_ORDER_MARK + PSK)), "InvalidKey"),
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_key_ends_the_tunnel_without_a_clear_packet(stretched: Sides, what: str) -> None:
    a, b = stretched
    spoil, reason = UNUSABLE[what]
    with pair_of(stretched).wire() as wire, a.machine.pinging(FAR):
        spoil(a)
        wait_until(lambda: reason_of(a) == reason, 30, reason)
        wait_until(lambda: not a.node.associations(), 30, "the end of the SAs")
        assert a.machine.ping(FAR, 2) == 0
        found = connection_of(a)
        assert found is not None
        assert f"{names.IPSEC_NAMESPACE}/psk" in found.message
        assert PSK.decode() not in found.message
        wait_until(lambda: not b.connected(), 30, "the peer to notice")
        a.set_key(PSK)
        for side in stretched:
            wait_until(side.connected, 30, f"connection of {side.name}")
        wait_until(lambda: a.machine.ping(FAR) == 3, 30, "traffic")
        summary = wire.summary()
    summary.require_protected()
    assert summary.esp > 0


def test_line_breaks_at_the_end_do_not_belong_to_the_key(stretched: Sides) -> None:
    a, _ = stretched
    for ending in (b"\n", b"\r\n"):
        before = a.node.associations()
        with a.machine.pinging(FAR) as lost:
            a.set_key(PSK + ending)
            wait_until(lambda: _are_replaced(a, before), 30, "SAs of the same key")  # noqa: B023
            assert lost() <= 20
        assert "AUTH_FAILED" not in a.node.log.read_text()[-4000:]


def test_keys_that_are_replaced_during_a_negotiation(stretched: Sides) -> None:
    """The second one while the first one is being negotiated: existing SAs carry traffic, the last one wins."""
    a, b = stretched
    before = a.node.associations()
    first, last = b"1" * 32, b"2" * 32
    with pair_of(stretched).wire() as wire, a.machine.pinging(FAR) as lost:
        with dropping(b, IKE_AUTH):
            for side in stretched:
                side.set_key(first)
            wait_until(lambda: _negotiates(a), 30, "an IKE SA without authentication")
            for side in stretched:
                side.set_key(last)
            assert before <= a.node.associations()
        for side in stretched:
            wait_until(lambda side=side: _are_replaced(side, before), 60, f"SAs of the last key at {side.name}")  # type: ignore[misc]
        assert lost() <= 60
        summary = wire.summary()
    summary.require_protected()
    assert a.machine.ping(FAR) == 3
    text = a.node.log.read_text() + b.node.log.read_text()
    assert not any(key.decode() in text for key in (PSK, first, last))


def _are_replaced(side: Side, before: frozenset[object]) -> bool:
    now = side.node.associations()
    return len(now) == SAS and not now & before and side.connected()


def _negotiates(side: Side) -> bool:
    """Whether charon has an IKE SA that waits for the answer to its authentication."""
    with side.node.connect() as client:
        return any(b"CONNECTING" in entry["state"] for found in Session(client).list_sas() for entry in found.values())
