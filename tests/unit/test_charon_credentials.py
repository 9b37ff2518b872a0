"""What charon authenticates peers with survives whatever fails, and no peer is loaded without its revocation lists."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.errors import Unavailable
from isthmus.model.names import tunnel_port
from tests.authority import Authority, Issued, secret_data
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.certified import IDENTITY, THIRD, add_third, agree, store
from tests.fakes.charon import FakeIke
from tests.fakes.killing import Killed
from tests.fakes.nodeobjects import NODE, PEER, PSK

ONE, TWO = Authority("one"), Authority("two")
B, C = tunnel_port(PEER, "gw-b1"), tunnel_port(THIRD, "gw-c1")
BOTH = ONE.certificate + TWO.certificate


def _der(revocation_list: bytes) -> bytes:
    return x509.load_pem_x509_crl(revocation_list).public_bytes(Encoding.DER)


def _key(harness: AgentHarness, name: str) -> bytes:
    chain = harness.node.chains.get(name)
    return chain.private_key if chain is not None else b""


def _connection(harness: AgentHarness, name: str) -> GatewayConnection:
    found = {tunnel_port(c.cloud_id, c.gateway): c for c in harness.get(GatewayNode, NODE).status.connections}
    connection = found[name]
    assert isinstance(connection, GatewayConnection)
    return connection


def _removals(harness: AgentHarness) -> int:
    return sum("remove_credentials" in effect for effect in harness.node.effects)


@pytest.fixture
def own() -> Issued:
    return ONE.issue(IDENTITY)


@pytest.fixture
def harness(own: Issued) -> AgentHarness:
    """Peers cloud-b, and cloud-c with a list of its own; both have two CAs."""
    made = AgentHarness()
    made.settle(2)
    store(made, secret_data(own, ca_crt=BOTH))
    agree(made, "Certificate", "Certificate")
    add_third(made, secret_data(own, ca_crt=BOTH, ca_crl=ONE.revoke([])))
    made.settle(4)
    assert _key(made, B) == _key(made, C) == own.private_key
    made.node.effects.clear()
    return made


def test_a_list_that_goes_away_is_removed_and_all_else_is_there_again(harness: AgentHarness, own: Issued) -> None:
    assert harness.node.revocation_lists
    store(harness, secret_data(own, ca_crt=BOTH), "psk-c")
    harness.settle(2)
    assert harness.node.revocation_lists == ()
    assert _removals(harness) == 1
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_a_list_in_place_of_another_cas_is_noticed(harness: AgentHarness, own: Issued) -> None:
    """There are as many as before."""
    other = TWO.revoke([])
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=other), "psk-c")
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(other),)
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_many_cas_are_not_taken_for_old_ones(own: Issued) -> None:
    harness = AgentHarness()
    store(harness, secret_data(own, ca_crt=b"".join(Authority(f"ca {n}").certificate for n in range(12))))
    agree(harness, "Certificate", "Certificate")
    harness.settle(4)
    assert _key(harness, B) == own.private_key
    assert _removals(harness) == 0


def test_an_agent_that_starts_loads_peers_with_certificates_once(harness: AgentHarness) -> None:
    """Then it knows their certificates, whatever the one before it has done."""
    negotiated = dict(harness.node.negotiated)
    harness.new_agent(harness.backends())
    harness.settle(4)
    loads = [effect for effect in harness.node.effects if effect.startswith("load ")]
    assert sorted(loads) == sorted([f"load {B}", f"load {C}"])
    assert harness.node.negotiated == negotiated
    assert _removals(harness) == 0


def test_a_newer_list_of_the_same_ca_removes_nothing(harness: AgentHarness, own: Issued) -> None:
    newer = ONE.revoke([])
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=newer), "psk-c")
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(newer),)
    assert _removals(harness) == 0


@pytest.mark.parametrize("of_newer", ["psk-b", "psk-c"])
def test_of_two_lists_of_one_ca_the_former_may_go_away(harness: AgentHarness, own: Issued, of_newer: str) -> None:
    """charon has discarded it, in whichever order they were loaded."""
    former, newer = (secret_data(own, ca_crt=BOTH, ca_crl=ONE.revoke([])) for _ in range(2))
    for name in ("psk-b", "psk-c"):
        store(harness, newer if name == of_newer else former, name)
    harness.settle(2)
    for name in ("psk-b", "psk-c"):
        store(harness, newer, name)
    harness.settle(2)
    assert len(harness.node.revocation_lists) == 1
    assert _removals(harness) == 0


def test_a_former_list_is_in_force_again(harness: AgentHarness, own: Issued) -> None:
    former, newer = ONE.revoke([]), ONE.revoke([])
    for content in (newer, former):
        store(harness, secret_data(own, ca_crt=BOTH, ca_crl=content), "psk-c")
        harness.settle(2)
    assert harness.node.revocation_lists == (_der(former),)
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_a_kept_peer_keeps_its_key_when_another_ones_list_goes_away(harness: AgentHarness, own: Issued) -> None:
    store(harness, secret_data(own, ca_crt=b"text"))
    store(harness, secret_data(own, ca_crt=BOTH), "psk-c")
    harness.settle(2)
    assert _connection(harness, B).reason == "InvalidCertificate"
    assert _key(harness, B) == _key(harness, C) == own.private_key
    store(harness, secret_data(own, ca_crt=BOTH))
    harness.settle(2)
    assert harness.node.revocation_lists == (), "removed as soon as everything can be loaded again"
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_a_kept_peer_keeps_its_pre_shared_key(own: Issued) -> None:
    harness = AgentHarness()
    harness.settle(2)
    store(harness, secret_data(own, psk=PSK, ca_crt=BOTH))
    agree(harness, "PSK", "Certificate")
    add_third(harness, secret_data(own, ca_crt=BOTH, ca_crl=ONE.revoke([])))
    harness.settle(2)
    assert harness.node.keys[B] == PSK
    store(harness, secret_data(own, psk=PSK, ca_crt=b"text"))
    store(harness, secret_data(own, ca_crt=BOTH), "psk-c")
    harness.settle(2)
    assert harness.node.keys[B] == PSK


def test_nothing_is_removed_while_charon_refuses_a_list(harness: AgentHarness, own: Issued) -> None:
    refused = TWO.revoke([])
    harness.node.refused_lists = frozenset({_der(refused)})
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=refused), "psk-c")
    harness.settle(4)
    assert _removals(harness) == 0
    assert _key(harness, B) == _key(harness, C) == own.private_key
    harness.node.refused_lists = frozenset()
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(refused),)
    assert _removals(harness) == 1
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_nothing_is_removed_if_charon_would_not_take_a_list_again(harness: AgentHarness, own: Issued) -> None:
    other = TWO.revoke([])
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=other))
    harness.settle(2)
    harness.node.refused_lists = frozenset({_der(other)})
    store(harness, secret_data(own, ca_crt=BOTH), "psk-c")
    harness.settle(4)
    assert _removals(harness) == 0
    assert _key(harness, B) == _key(harness, C) == own.private_key
    assert _der(other) in harness.node.revocation_lists


def test_lists_are_loaded_again_if_charon_removes_everything_and_does_not_answer(
    harness: AgentHarness, own: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has many old certificates, and none afterwards, so that nothing else tells."""
    lists, real = harness.node.revocation_lists, FakeIke.remove_credentials

    def without_answer(ike: FakeIke) -> None:
        real(ike)
        raise Unavailable("no answer within 5 s")

    harness.node.certificates = 100
    with monkeypatch.context() as patched:
        patched.setattr(FakeIke, "remove_credentials", without_answer)
        harness.settle(1)
    assert harness.node.revocation_lists == ()
    harness.settle(1)
    assert harness.node.revocation_lists == lists != ()
    assert _key(harness, B) == _key(harness, C) == own.private_key
    assert _removals(harness) == 1


@pytest.mark.parametrize("failing", ["load", "load_revocation_list", "remove_credentials"])
@pytest.mark.parametrize("is_done", [False, True])
def test_what_an_unresponsive_charon_did_not_load_is_loaded_later(
    harness: AgentHarness, own: Issued, failing: str, is_done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Charon does not answer once, whether or not it has done what it was asked for."""
    content = TWO.revoke([])
    real: Callable[..., None] = getattr(FakeIke, failing)
    calls: list[object] = []

    def fails_once(ike: FakeIke, *arguments: object) -> None:
        calls.append(arguments)
        if len(calls) > 1 or is_done:
            real(ike, *arguments)
        if len(calls) == 1:
            raise Unavailable("no answer within 5 s")

    monkeypatch.setattr(FakeIke, failing, fails_once)
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=content), "psk-c")
    harness.settle(4)
    assert calls
    assert harness.node.revocation_lists == (_der(content),)
    assert _key(harness, B) == _key(harness, C) == own.private_key
    assert _connection(harness, B).up
    assert _connection(harness, C).up


def test_a_connection_that_charon_refuses_after_the_removal_is_tried_again(harness: AgentHarness, own: Issued) -> None:
    harness.node.refused_connections = frozenset({B})
    store(harness, secret_data(own, ca_crt=BOTH), "psk-c")
    harness.settle(2)
    assert _removals(harness) == 1
    harness.node.chains.pop(B, None)
    harness.node.refused_connections = frozenset()
    harness.settle(2)
    assert _key(harness, B) == own.private_key


@pytest.mark.parametrize("effects_after", range(4))
def test_an_agent_killed_after_the_removal(harness: AgentHarness, own: Issued, effects_after: int) -> None:
    """By the removal, the list and both connections, one after another."""
    content, done = TWO.revoke([]), harness.node.effects

    def count() -> None:
        if any("remove_credentials" in effect for effect in done[: len(done) - effects_after]):
            raise Killed

    harness.new_agent(harness.counted_backends(count))
    harness.settle(2)
    done.clear()
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=content), "psk-c")
    with pytest.raises(Killed):
        harness.settle(2)
    harness.new_agent(harness.backends())
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(content),)
    assert _key(harness, B) == _key(harness, C) == own.private_key


def test_a_refused_list_concerns_its_peer_alone(harness: AgentHarness, own: Issued) -> None:
    """It comes first, and nothing behind it is left out. Its peer is not loaded as if nothing had been revoked."""
    refused, other = ONE.revoke([1]), TWO.revoke([2])
    (before,) = {harness.node.loaded[B].digest}
    (former,) = harness.node.revocation_lists
    harness.node.refused_lists = frozenset({_der(refused)})
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=refused))
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=other), "psk-c")
    harness.settle(4)
    assert harness.node.revocation_lists == (former, _der(other))
    assert harness.node.loaded[B].digest == before
    assert harness.node.negotiated[B] == {before}, "existing SAs stay"
    connection = _connection(harness, B)
    assert (connection.up, connection.reason) == (False, "InvalidCertificate")
    assert "ca.crl of Secret isthmus-ipsec/psk-b" in connection.message
    assert "parsing X509_CRL certificate failed" in connection.message
    assert _connection(harness, C).up
    harness.node.refused_lists = frozenset()
    harness.settle(4)
    assert _connection(harness, B).up


def test_a_new_charon_loads_no_peer_without_its_list(harness: AgentHarness) -> None:
    harness.node.refused_lists = frozenset(harness.node.revocation_lists)
    harness.node.restart_charon()
    harness.settle(2)
    assert set(harness.node.loaded) == {B}
    assert _connection(harness, C).reason == "InvalidCertificate"


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("is_new", [False, True])
def test_a_copy_of_another_peers_ca_displaces_nothing(
    harness: AgentHarness, own: Issued, copied: bool, is_new: bool
) -> None:
    """Its name or its key identifier, with a list of any number, also if charon and the agent forget everything else
    but which CAs they had. What the other peer revokes later is in force."""
    evil = Authority("evil", copied=ONE) if copied else Authority("one")
    (before,) = harness.node.revocation_lists
    store(harness, secret_data(own, ca_crt=evil.certificate, ca_crl=evil.revoke([], 2**60)))
    if is_new:
        harness.new_agent(harness.backends())
    harness.settle(2)
    assert harness.node.revocation_lists == (before,)
    connection = _connection(harness, B)
    assert (connection.up, connection.reason) == (False, "InvalidCertificate")
    assert "Secret isthmus-ipsec/psk-c another CA with the same subject, key or key identifier" in connection.message
    revoking = ONE.revoke([1])
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=revoking), "psk-c")
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(revoking),)
    assert _connection(harness, C).up
    harness.node.restart_charon()
    harness.settle(2)
    assert harness.node.revocation_lists == (_der(revoking),)
    assert harness.node.loaded.keys() == {C}
    assert _connection(harness, C).up


def test_a_list_of_a_new_ca_with_the_name_of_the_old_one_is_in_force(harness: AgentHarness, own: Issued) -> None:
    """Its numbers begin again, and charon takes the old list for a newer one."""
    old, new = Authority("same"), Authority("same")
    for content in (
        secret_data(own, ca_crt=old.certificate, ca_crl=old.revoke([1], 7)),
        secret_data(own, ca_crt=old.certificate + new.certificate, ca_crl=old.revoke([1], 8)),
        secret_data(own, ca_crt=new.certificate, ca_crl=(last := new.revoke([2], 1))),
    ):
        store(harness, content, "psk-c")
        harness.settle(2)
        assert _connection(harness, C).up
    assert harness.node.revocation_lists == (_der(last),)


def test_a_list_that_charon_has_no_room_for_is_reported(harness: AgentHarness, own: Issued) -> None:
    """Another one of the same CA and number, which it discards without an error."""
    (before,) = harness.node.revocation_lists
    extensions = x509.load_der_x509_crl(before).extensions
    number = extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    other = ONE.revoke([1], number)
    store(harness, secret_data(own, ca_crt=BOTH, ca_crl=other))
    harness.settle(2)
    assert harness.node.revocation_lists == (before,)
    connection = _connection(harness, B)
    assert (connection.up, connection.reason) == (False, "InvalidCertificate")
    assert "it has another one, which it takes for a newer one of the same CA" in connection.message
    assert _connection(harness, C).up
