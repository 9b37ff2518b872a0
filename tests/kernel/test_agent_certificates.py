"""Two complete agents that move from the pre-shared key to certificates, and of which one revokes the other.

Meanwhile clocks jump, or differ from that of whoever issues the certificates.
"""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.authority import Authority, Issued, secret_data
from tests.kernel.clocks import SETS_THE_CLOCK, shifted
from tests.kernel.side import PSK, RESYNC_SECONDS, Side, pair_of
from tests.testbed.host.process import wait_until

ONE, TWO = Authority("one"), Authority("two")
NEGOTIATING = "initiate", "terminate", "retire", "rekey", "unload", "remove"


def _issue(side: Side, authority: Authority = ONE, cloud: str = "") -> Issued:
    return authority.issue(f"gw-{side.name}.{cloud or f'cloud-{side.name}'}")


def _agree(sides: tuple[Side, Side], **ways: str) -> None:
    """What both controllers write once both clouds have published how they authenticate themselves."""
    for side in sides:
        link = side.kubectl.get(PeerLink, f"cloud-{side.name}", names.peer_namespace(f"cloud-{side.peer}"))
        assert link is not None
        document = link.to_wire()
        document["spec"]["ipsec"]["authentication"] = ways[side.name]
        document["status"]["peer"]["spec"]["ipsec"]["authentication"] = ways[side.peer]
        changed = PeerLink.from_wire(document)
        side.controller.apply(changed)
        side.controller.apply_status(changed)
    for side in sides:
        side.watch.wake()


def _reason(side: Side) -> str:
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return found.status.connections[0].reason if found and found.status.connections else ""


def _is_renewed(side: Side, before: frozenset[object]) -> bool:
    return bool(side.node.associations()) and not side.node.associations() & before and side.connected()


def _renewed(sides: tuple[Side, Side], before: dict[str, frozenset[object]], what: str) -> None:
    for side in sides:
        wait_until(lambda: _is_renewed(side, before[side.name]), 60, f"only SAs of {what} at {side.name}")  # noqa: B023


def _standing(sides: tuple[Side, Side]) -> dict[str, frozenset[object]]:
    return {side.name: frozenset[object](side.node.associations()) for side in sides}


@pytest.fixture(scope="module")
def certified(stretched: tuple[Side, Side]) -> tuple[Side, Side]:
    """Moved to certificates one after the other, under traffic."""
    a, b = stretched
    with pair_of(stretched).wire() as wire, a.machine.pinging("10.20.0.12") as lost:
        before = _standing(stretched)
        b.store_secret(secret_data(psk=PSK, ca_crt=ONE.certificate))
        a.store_secret(secret_data(_issue(a), psk=PSK))
        _agree(stretched, a="Certificate", b="PSK")
        _renewed(stretched, before, "a's certificate and b's key")
        before = _standing(stretched)
        for side in stretched:
            side.store_secret(secret_data(_issue(side), ca_crt=ONE.certificate))
        _agree(stretched, a="Certificate", b="Certificate")
        _renewed(stretched, before, "both certificates")
        assert lost() <= 100
        summary = wire.summary()
    summary.require_protected()
    return stretched


def test_both_authenticate_themselves_by_certificates(certified: tuple[Side, Side]) -> None:
    a, _ = certified
    assert a.machine.ping("10.20.0.12", 3) == 3
    effects = "".join(a.effects)
    assert "CertificateRef" in effects
    assert "PRIVATE KEY" not in effects


def test_bad_input_is_named_and_traffic_goes_on(certified: tuple[Side, Side]) -> None:
    a, _ = certified
    before = _standing(certified)
    with a.machine.pinging("10.20.0.12") as lost:
        a.store_secret(secret_data(_issue(a, cloud="cloud-x"), ca_crt=ONE.certificate))
        wait_until(lambda: _reason(a) == "InvalidCertificate", 30, "its reason")
        a.store_secret(secret_data(_issue(a)))
        wait_until(lambda: _reason(a) == "CertificateNotFound", 30, "its reason")
        assert lost() == 0
    assert before["a"] <= a.node.associations()
    assert a.connected(), "it is reported as what it is"
    a.store_secret(secret_data(_issue(a), ca_crt=ONE.certificate))
    wait_until(lambda: _reason(a) == "Up" and a.connected(), 30, "the connection by the next certificate")


@SETS_THE_CLOCK
@pytest.mark.parametrize("days", [-1, 1, 100])
def test_a_clock_that_jumps_changes_nothing(certified: tuple[Side, Side], days: int) -> None:
    """Even if all certificates begin only then, or have expired, which is reported: SAs are not made again for it."""
    a, _ = certified
    before = _standing(certified)
    for side in certified:
        side.effects.clear()
    with pair_of(certified).wire() as wire, a.machine.pinging("10.20.0.12") as lost:
        with shifted(timedelta(days=days)):
            time.sleep(RESYNC_SECONDS + 0.5)
            expected = "CertificateExpired" if days == 100 else "CertificatesValid"
            wait_until(lambda: _expiry(a) == expected, 30, expected)
            assert a.machine.ping("10.20.0.12", 3) == 3
        wait_until(lambda: _expiry(a) == "CertificatesValid", 30, "valid certificates")
        assert a.machine.ping("10.20.0.12", 3) == 3
        assert lost() == 0
        wire.summary().require_protected()
    assert _standing(certified) == before
    for side in certified:
        assert side.connected()
        assert [effect for effect in side.effects if effect.startswith(NEGOTIATING)] == []


def test_a_revoked_peer_is_cut_at_once_and_comes_back_with_a_new_certificate(certified: tuple[Side, Side]) -> None:
    a, b = certified
    revoked = _issue(b)
    before = _standing(certified)
    b.store_secret(secret_data(revoked, ca_crt=ONE.certificate))
    _renewed(certified, before, "b's next certificate")
    with pair_of(certified).wire() as wire:
        a.store_secret(secret_data(_issue(a), ca_crt=ONE.certificate, ca_crl=ONE.revoke([revoked.serial])))
        wait_until(lambda: not a.node.associations(), 40, "the end of the SAs", poll_seconds=0.1)
        assert a.machine.ping("10.20.0.12", 2) == 0
        wait_until(lambda: _reason(a) == "CertificateRevoked", 30, "its reason")
        summary = wire.summary()
    summary.require_protected()
    b.store_secret(secret_data(_issue(b), ca_crt=ONE.certificate))
    for side in certified:
        wait_until(side.connected, 60, f"connection of {side.name}")
    wait_until(lambda: a.machine.ping("10.20.0.12", 3) == 3, 20, "traffic")


@SETS_THE_CLOCK
def test_a_certificate_of_ten_minutes_ahead_is_refused_until_then(certified: tuple[Side, Side]) -> None:
    """The last test. Issued where the clock is ahead; existing SAs carry traffic, and it heals by itself."""
    a, _ = certified
    before = _standing(certified)
    skew = timedelta(minutes=10)
    with pair_of(certified).wire() as wire, a.machine.pinging("10.20.0.12") as lost:
        early = ONE.issue("gw-a.cloud-a", begins=skew)
        a.store_secret(secret_data(early, ca_crt=ONE.certificate))
        wait_until(lambda: _reason(a) == "AuthenticationFailed", 40, "the refusal")
        assert before["a"] <= a.node.associations()
        with shifted(skew + timedelta(minutes=1)):
            _renewed(certified, before, "the certificate that has become valid")
        assert a.machine.ping("10.20.0.12", 3) == 3
        assert lost() <= 60
        wire.summary().require_protected()
    for side in certified:
        wait_until(side.connected, 30, f"connection of {side.name}")


def _expiry(side: Side) -> str:
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    condition = condition_of(found.status.conditions, "CertificateExpiring") if found is not None else None
    return condition.reason if condition is not None else ""
