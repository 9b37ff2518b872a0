"""An agent that moves from the pre-shared key to certificates, is given bad ones, and cuts a revoked peer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.node.ipsec import CertificateRef
from isthmus.telemetry.metrics import CERTIFICATE_EXPIRY, CERTIFICATE_WARNING, TUNNEL_INFO, TUNNEL_UP
from tests.authority import Authority, secret_data
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.certified import IDENTITY
from tests.fakes.certified import agree as _agree
from tests.fakes.certified import store as _store
from tests.fakes.nodeobjects import NODE, PSK
from tests.unit.test_malformed_certificates import CA_IN_LATIN_1

ONE, TWO = Authority("one"), Authority("two")


def _connection(harness: AgentHarness) -> GatewayConnection:
    (connection,) = harness.get(GatewayNode, NODE).status.connections
    assert isinstance(connection, GatewayConnection)
    return connection


def _condition(harness: AgentHarness, type_: str) -> Condition | None:
    return condition_of(harness.get(GatewayNode, NODE).status.conditions, type_)


@pytest.fixture
def harness() -> AgentHarness:
    made = AgentHarness()
    made.settle()
    return made


@pytest.fixture
def certified(harness: AgentHarness) -> AgentHarness:
    """Both clouds authenticate themselves by certificates."""
    _store(harness, secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate))
    _agree(harness, "Certificate", "Certificate")
    harness.settle()
    return harness


def test_from_the_key_to_certificates(harness: AgentHarness) -> None:
    (before,) = harness.node.loaded.values()
    _store(harness, secret_data(ONE.issue(IDENTITY), psk=PSK, ca_crt=ONE.certificate))
    _agree(harness, "Certificate", "PSK")
    harness.settle()
    (first,) = harness.node.loaded.values()
    assert isinstance(first.credential, CertificateRef)
    assert first.digest != before.digest
    assert harness.node.chains[first.name].private_key
    assert harness.node.keys[first.name] == PSK
    _agree(harness, "Certificate", "Certificate")
    harness.settle()
    (second,) = harness.node.loaded.values()
    assert harness.node.keys[second.name] == b""
    assert harness.node.chains[second.name].authorities == (ONE.certificate,)
    assert _connection(harness).up
    expiring = _condition(harness, "CertificateExpiring")
    assert expiring is not None
    assert (expiring.status, expiring.reason) == ("False", "CertificatesValid")
    assert {labels[1] for labels in harness.metrics.values(CERTIFICATE_EXPIRY)} == {"certificate", "CA"}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (secret_data(ONE.issue("gw-x.cloud-a"), ca_crt=ONE.certificate), "InvalidCertificate"),
        (
            secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate)
            | secret_data(tls_key=TWO.issue(IDENTITY).private_key),
            "CertificateKeyDiffers",
        ),
        (
            secret_data(ca_crt=ONE.certificate)
            | secret_data(
                ONE.issue(IDENTITY),
                tls_crt=ONE.issue(IDENTITY).certificate + Authority("between", issuer=ONE).certificate,
            ),
            "CertificateChainTooLong",
        ),
        (secret_data(ONE.issue(IDENTITY)), "CertificateNotFound"),
        (secret_data(ONE.issue(IDENTITY), ca_crt=b"text"), "InvalidCertificate"),
        (secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate + CA_IN_LATIN_1), "InvalidCertificate"),
    ],
)
def test_bad_input_is_named_and_leaves_what_stands(certified: AgentHarness, data: dict[str, str], reason: str) -> None:
    good = secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate, ca_crl=ONE.revoke([]))
    _store(certified, good)
    certified.settle()
    before, in_force = _standing(certified), _connection(certified).in_force
    assert in_force is not None
    assert certified.node.revocation_lists
    certified.node.effects.clear()
    _store(certified, data)
    certified.settle()
    assert _standing(certified) == before
    condition = _condition(certified, "PeersConfigured")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", reason)
    assert "isthmus-ipsec/psk-b" in condition.message
    found = _connection(certified)
    assert (found.up, found.ike, found.esp, found.bfd) == (True, "Established", "Installed", "Up"), "it is kept"
    assert (found.reason, found.message, found.key_exchange) == (
        reason,
        condition.message[len("cloud-b: ") :],
        "ecp384",
    )
    assert certified.metrics.values(TUNNEL_UP)["cloud-b", "gw-b1", "esp"] == 1
    assert (found.encapsulation, found.in_force) == ("VXLAN", in_force)
    infos = certified.metrics.values(TUNNEL_INFO)
    assert [(info[2], info[6]) for info in infos] == [("VXLAN", "aes256gcm16")]
    _store(certified, good)
    certified.settle()
    assert _standing(certified) == before
    assert _connection(certified).up


def _standing(harness: AgentHarness) -> tuple[object, ...]:
    node = harness.node
    of_charon = dict(node.loaded), dict(node.negotiated), dict(node.keys), dict(node.chains), node.revocation_lists
    return (*of_charon, node.ports.tunnels, node.blocks, node.firewall)


def test_a_connection_that_is_kept_is_down_without_its_associations(certified: AgentHarness) -> None:
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=b"text"))
    certified.settle(2)
    assert _connection(certified).up
    certified.node.negotiated = {}
    certified.settle(1)
    found = _connection(certified)
    assert (found.up, found.ike, found.esp, found.reason) == (False, "Connecting", "Missing", "InvalidCertificate")
    assert certified.metrics.values(TUNNEL_UP)["cloud-b", "gw-b1", "esp"] == 0


def test_what_the_kernel_loses_of_a_connection_that_is_kept_is_rekeyed(certified: AgentHarness) -> None:
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=b"text"))
    certified.settle(2)
    before = certified.node.associations
    certified.node.associations = frozenset()
    certified.node.effects.clear()
    certified.settle(2)
    assert [effect.split()[0] for effect in certified.node.effects] == ["rekey"]
    assert len(certified.node.associations) == len(before)
    assert _connection(certified).up


def test_a_connection_that_is_kept_is_never_ended_to_recover_it(certified: AgentHarness) -> None:
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=b"text"))
    certified.settle(2)
    certified.node.associations, certified.node.peer_answers = frozenset(), False
    certified.node.effects.clear()
    certified.settle(4)
    assert _connection(certified).esp == "Missing"
    assert {effect.split()[0] for effect in certified.node.effects} == {"rekey"}


def test_a_revoked_peer_is_cut_and_named(certified: AgentHarness) -> None:
    own = ONE.issue(IDENTITY)
    certified.node.peer_is_revoked = True
    _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=ONE.revoke([1])))
    certified.settle(2)
    assert certified.node.negotiated == {}
    connection = _connection(certified)
    assert (connection.up, connection.reason) == (False, "CertificateRevoked")
    assert "gw-b1.cloud-b is on a revocation list in ca.crl of Secret isthmus-ipsec/psk-b" in connection.message
    certified.node.peer_is_revoked = False
    certified.settle()
    assert _connection(certified).up


def test_a_peer_that_does_not_answer_after_a_revocation_is_cut_in_the_end(certified: AgentHarness) -> None:
    certified.node.peer_answers = False
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate, ca_crl=ONE.revoke([1])))
    certified.clock.seconds += 1
    certified.iterate()
    assert certified.node.negotiated, "for 30 s the peer may authenticate itself again"
    certified.settle(1)
    assert certified.node.negotiated == {}


def _pass(harness: AgentHarness, seconds: int) -> None:
    for _ in range(seconds):
        harness.clock.seconds += 1
        harness.iterate()


def test_a_mistyped_list_does_not_hide_what_is_revoked_after_it(certified: AgentHarness) -> None:
    certified.node.peer_answers = False
    own = ONE.issue(IDENTITY)
    _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=b"typo"))
    _pass(certified, 40)
    assert _connection(certified).reason == "InvalidCertificate"
    assert certified.node.negotiated, "it is kept"
    _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=ONE.revoke([1])))
    _pass(certified, 29)
    assert certified.node.negotiated
    _pass(certified, 10)
    assert certified.node.negotiated == {}


def test_a_mistyped_list_does_not_save_who_was_revoked_before_it(certified: AgentHarness) -> None:
    certified.node.peer_answers = False
    own, revoking = ONE.issue(IDENTITY), ONE.revoke([1])
    _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=revoking))
    _pass(certified, 5)
    _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=b"typo"))
    _pass(certified, 20)
    assert certified.node.negotiated
    _pass(certified, 10)
    assert certified.node.negotiated == {}


def test_a_mistyped_list_that_is_corrected_cuts_nobody(certified: AgentHarness) -> None:
    own = ONE.issue(IDENTITY)
    for lists in (b"typo", ONE.revoke([]), b"typo", ONE.revoke([])):
        _store(certified, secret_data(own, ca_crt=ONE.certificate, ca_crl=lists))
        _pass(certified, 5)
    certified.node.peer_answers = False
    _pass(certified, 60)
    assert certified.node.negotiated
    assert not any("terminate" in effect for effect in certified.node.effects)


def test_without_a_revocation_a_silent_peer_keeps_what_stands(certified: AgentHarness) -> None:
    certified.node.peer_answers = False
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate, ca_crl=ONE.revoke([])))
    certified.settle()
    assert certified.node.negotiated


def test_old_certificates_are_removed_from_charon(certified: AgentHarness) -> None:
    for _ in range(8):
        _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate))
        certified.settle(2)
        assert certified.node.certificates <= 12
    assert any("remove_credentials" in effect for effect in certified.node.effects)
    assert set(certified.node.chains) == set(certified.node.loaded), "and all others are loaded again"
    assert _connection(certified).up


def test_what_ends_soon_is_a_condition(certified: AgentHarness) -> None:
    issued = ONE.issue(IDENTITY, begins=timedelta(days=-90), ends=timedelta(days=1))
    _store(certified, secret_data(issued, ca_crt=ONE.certificate))
    certified.clock.now = lambda: datetime.now(UTC)  # type: ignore[method-assign]
    certified.settle(2)
    condition = _condition(certified, "CertificateExpiring")
    assert condition is not None
    assert (condition.status, condition.reason) == ("True", "CertificateExpiring")
    assert "the certificate in Secret isthmus-ipsec/psk-b for cloud-b expires at" in condition.message


@pytest.mark.parametrize(("left_hours", "warns"), [(57, False), (55, True)])
def test_the_alert_follows_the_condition(certified: AgentHarness, left_hours: int, warns: bool) -> None:
    """A certificate of seven days warns in its last third: the last 56 hours."""
    ends = timedelta(hours=left_hours)
    _store(
        certified, secret_data(ONE.issue(IDENTITY, begins=ends - timedelta(days=7), ends=ends), ca_crt=ONE.certificate)
    )
    certified.clock.now = lambda: datetime.now(UTC)  # type: ignore[method-assign]
    certified.settle(2)
    condition = _condition(certified, "CertificateExpiring")
    assert condition is not None
    assert (condition.status == "True") == warns
    labels = {"peer": "cloud-b", "kind": "certificate"}
    times = [
        certified.metrics.registry.get_sample_value(f.name, labels) for f in (CERTIFICATE_WARNING, CERTIFICATE_EXPIRY)
    ]
    assert times[0] is not None
    assert times[1] is not None
    assert (times[0] <= datetime.now(UTC).timestamp()) == warns
    assert times[1] - times[0] == pytest.approx(56 * 3600, abs=1)


def test_the_metric_has_the_first_of_each_kind(certified: AgentHarness) -> None:
    soon = Authority("soon", days=30)
    _store(certified, secret_data(ONE.issue(IDENTITY), ca_crt=ONE.certificate + soon.certificate))
    certified.settle(2)
    ends, warns = (certified.metrics.values(f)["cloud-b", "CA"] for f in (CERTIFICATE_EXPIRY, CERTIFICATE_WARNING))
    assert ends == pytest.approx((datetime.now(UTC) + timedelta(days=30)).timestamp(), abs=7200)
    assert ends - warns == pytest.approx(10 * 86400, abs=1)
