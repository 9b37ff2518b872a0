"""Contract of ports.Ike."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.core.node import ipsec
from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.node.ipsec import CertificateChain, CertificateRef, IkeConnection
from isthmus.model.proposals import GROUPS
from isthmus.ports import Ike, Xfrm
from tests.authority import Authority
from tests.testbed.host.process import wait_until

CHILDREN = frozenset({"in", "out"})
KEY, OTHER_KEY = b"a-pre-shared-key-of-32-characters", b"another-pre-shared-key-of-that-length"


def with_key(connection: IkeConnection, version: str) -> IkeConnection:
    """The connection with another version of its key."""
    return replace(connection, credential=replace(connection.credential, secret_version=version))


class Charon(Protocol):
    """Control of the node's charon and the peer's."""

    def end(self) -> None:
        """Kill the node's charon."""

    def start(self) -> None:
        """Start a new charon."""

    def end_peer(self) -> None: ...
    def flush_kernel(self) -> None:
        """Flush all policies and SAs of this node's kernel without charon."""

    def agree(self, version: str, key: bytes = KEY) -> None:
        """Give the peer that version of the key, too."""


class IkeContract:
    """Fixtures: `ike`, `xfrm`, `charon`, and the `connection`, an initiator's, for which the peer is ready."""

    def test_loaded_connection_is_identified_by_its_digest(self, ike: Ike, connection: IkeConnection) -> None:
        changed = with_key(connection, "2")
        assert connection.name not in ike.view().loaded
        ike.load(connection, KEY)
        ike.load(connection, KEY)
        assert ike.view().loaded == {connection.name: connection.digest}
        ike.load(changed, OTHER_KEY)
        assert ike.view().loaded == {connection.name: changed.digest}
        ike.unload(connection.name)
        assert ike.view().loaded == {}

    def test_unloading_what_is_not_loaded_succeeds(self, ike: Ike) -> None:
        for call in (ike.initiate, ike.retire, ike.terminate, ike.unload):
            call("istabsent")
        ike.rekey("istabsent", frozenset({1}))
        view = ike.view()
        assert (view.loaded, view.states) == ({}, {})
        assert view.version

    def test_what_charon_cannot_do_is_refused_and_the_loaded_connection_stays(
        self, ike: Ike, connection: IkeConnection
    ) -> None:
        ike.load(connection, KEY)
        known = ike.view().key_exchanges
        assert known is not None
        assert known >= {*GROUPS}
        ike_proposals = (f"{connection.ike_proposals[0]}-ke1_mlkem512", *connection.ike_proposals)
        esp_proposals = (f"{connection.esp_proposals[0]}-ke1_mlkem512", *connection.esp_proposals)
        for hybrid in (
            replace(connection, ike_proposals=ike_proposals),
            replace(connection, esp_proposals=esp_proposals),
        ):
            with pytest.raises(Invalid):
                ike.load(hybrid, KEY)
            assert ike.view().loaded == {connection.name: connection.digest}

    def test_associations_are_initiated_listed_and_terminated(
        self, ike: Ike, xfrm: Xfrm, connection: IkeConnection
    ) -> None:
        ike.load(connection, KEY)
        assert not ipsec.up(connection, ike.view())
        _establish(ike, connection)
        kernel = xfrm.associations(frozenset({connection.ends.local_address}))
        state = ike.view().states[connection.name]
        assert (state.established, state.children_installed, state.superseded) == (True, CHILDREN, False)
        assert state.key_exchange == "ecp384"
        assert len(state.spis) == 2 * len(CHILDREN)
        assert state.spis == {association.spi for association in kernel}
        ike.unload(connection.name)
        assert ike.view().states == {}
        # charon deletes the kernel's states a moment after it has stopped listing the SAs.
        wait_until(
            lambda: not xfrm.associations(frozenset({connection.ends.local_address})), 20, "removal of the states"
        )

    def test_what_is_in_force_is_told_with_its_age(self, ike: Ike, connection: IkeConnection) -> None:
        assert connection.name not in ike.view().states
        began = _second()
        _establish(ike, connection)
        state = ike.view().states[connection.name]
        found, until = state.in_force, datetime.now(UTC)
        ike_proposal, esp_proposal = connection.ike_proposals[0], connection.esp_proposals[0]
        assert f"{found.ike_cipher}-{state.key_exchange}" == ike_proposal
        assert found.esp_cipher == esp_proposal.partition("-")[0]
        assert (found.esp_mode, found.nat) == ("Transport", "None")
        for since in (found.ike_since, found.esp_since):
            assert since is not None
            assert began <= since <= until
        time.sleep(4.5)
        later = ike.view().states[connection.name].in_force
        assert later == found
        for before, since in ((found.ike_since, later.ike_since), (found.esp_since, later.esp_since)):
            assert before is not None
            assert since is not None
            # charon counts in whole seconds, and takes a while to answer; it is far less than has passed.
            assert abs(since - before) <= timedelta(seconds=2)
        began = _second()
        ike.rekey(connection.name, state.spis)
        wait_until(lambda: _is_since(ike.view().states[connection.name].in_force.esp_since, began), 30, "new ESP SAs")
        after = ike.view().states[connection.name].in_force
        assert after == found
        assert not _is_since(after.ike_since, began)
        ike.terminate(connection.name)
        _establish(ike, connection)
        assert ike.view().states[connection.name].in_force.ike_sa > found.ike_sa

    def test_reloading_an_equal_connection_keeps_its_associations(self, ike: Ike, connection: IkeConnection) -> None:
        _establish(ike, connection)
        before = ike.view()
        ike.load(connection, KEY)
        ike.initiate(connection.name)
        ike.retire(connection.name)
        assert ike.view() == before

    def test_superseded_association_stays_until_the_new_one_is_up(
        self, ike: Ike, charon: Charon, connection: IkeConnection
    ) -> None:
        _establish(ike, connection)
        old = ike.view().states[connection.name].spis
        changed = with_key(connection, "2")
        charon.agree("2")
        ike.load(changed, KEY)
        ike.retire(connection.name)
        state = ike.view().states[connection.name]
        assert (state.established, state.children_installed, state.superseded) == (True, frozenset(), True)
        assert state.spis == old
        _establish(ike, changed)
        state = ike.view().states[connection.name]
        assert state.superseded
        assert state.spis > old
        ike.retire(connection.name)
        state = ike.view().states[connection.name]
        assert (state.children_installed, state.superseded) == (CHILDREN, False)
        assert not state.spis & old

    def test_what_the_kernel_has_lost_is_back_after_a_rekey(
        self, ike: Ike, xfrm: Xfrm, charon: Charon, connection: IkeConnection
    ) -> None:
        def lost() -> frozenset[int]:
            view = ike.view()
            policies, installed = xfrm.protect_policies(), xfrm.associations(frozenset({connection.ends.local_address}))
            return ipsec.lost_spis(view, installed, policies).get(connection.name, frozenset())

        _establish(ike, connection)
        assert lost() == frozenset()
        before = ike.view().states[connection.name].spis
        charon.flush_kernel()
        assert lost() == before
        ike.rekey(connection.name, before)
        wait_until(lambda: not lost() and ipsec.up(connection, ike.view()), 30, "associations")
        after = ike.view().states[connection.name]
        assert not before & {spi for child in after.children for spi in child.spis}
        ike.rekey(connection.name, before)
        assert ike.view().states[connection.name].children == after.children

    def test_terminate_ends_the_associations_and_keeps_the_connection(
        self, ike: Ike, connection: IkeConnection
    ) -> None:
        _establish(ike, connection)
        ike.terminate(connection.name)
        assert ike.view().states == {}
        assert ike.view().loaded == {connection.name: connection.digest}
        _establish(ike, connection)

    def test_initiate_does_not_wait_for_a_silent_peer(
        self, ike: Ike, charon: Charon, connection: IkeConnection
    ) -> None:
        charon.end_peer()
        ike.load(connection, KEY)
        ike.initiate(connection.name)
        assert ike.view().loaded == {connection.name: connection.digest}
        assert not ipsec.up(connection, ike.view())

    def test_differing_keys_are_reported_until_they_agree(
        self, ike: Ike, charon: Charon, connection: IkeConnection
    ) -> None:
        charon.agree("2", OTHER_KEY)
        ike.load(connection, KEY)
        assert ike.view().authentication_failed == frozenset()
        ike.initiate(connection.name)
        wait_until(lambda: ike.view().authentication_failed == {connection.name}, 30, "the refusal")
        assert not ipsec.up(connection, ike.view())
        changed = with_key(connection, "2")
        ike.load(changed, OTHER_KEY)
        assert ike.view().authentication_failed == frozenset()
        ike.initiate(connection.name)
        wait_until(lambda: ipsec.up(changed, ike.view()), 30, "associations")
        assert ike.view().authentication_failed == frozenset()

    @pytest.mark.parametrize("likeness", ["name", "key identifier", "no"])
    def test_one_list_is_kept_of_what_seems_to_be_one_authority(self, ike: Ike, likeness: str) -> None:
        """And what is discarded is no error."""
        one = Authority("one")
        other = Authority(
            "one" if likeness == "name" else "other", copied=one if likeness == "key identifier" else None
        )
        lists = [_der(one.revoke([1], 5)), _der(other.revoke([2], 7)), _der(one.revoke([1], 6))]
        ike.load_revocation_list(lists[0])
        assert ike.revocation_lists() == {lists[0]}
        for content in lists[1:]:
            ike.load_revocation_list(content)
        assert ike.revocation_lists() == ({*lists[1:]} if likeness == "no" else {lists[1]})
        ike.remove_credentials()
        assert ike.revocation_lists() == frozenset()

    def test_authorities_are_those_of_connections(self, ike: Ike, connection: IkeConnection) -> None:
        own, others = Authority("own"), Authority("others")
        issued = own.issue(connection.ends.local_identity)
        chain = CertificateChain(issued.certificate, issued.private_key, (others.certificate,))
        assert ike.authorities() == frozenset()
        ike.load(replace(connection, credential=CertificateRef("key", "own", "others")), b"", chain)
        found = x509.load_pem_x509_certificate(others.certificate).public_bytes(Encoding.DER)
        assert ike.authorities() == {found}
        ike.remove_credentials()
        assert ike.authorities() == frozenset()

    def test_restarted_charon_is_a_new_instance_without_connections(
        self, ike: Ike, charon: Charon, connection: IkeConnection
    ) -> None:
        ike.load(connection, KEY)
        before = ike.view().instance
        assert ike.view().instance == before
        charon.end()
        for call in (ike.view, lambda: ike.load(connection, KEY), lambda: ike.initiate(connection.name)):
            with pytest.raises(Unavailable):
                call()
        charon.start()
        view = ike.view()
        assert view.instance != before
        assert (view.loaded, view.states) == ({}, {})


def _der(revocation_list: bytes) -> bytes:
    return x509.load_pem_x509_crl(revocation_list).public_bytes(Encoding.DER)


def _second() -> datetime:
    """The latest whole second but one: charon counts in whole ones."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1)


def _is_since(found: datetime | None, moment: datetime) -> bool:
    return found is not None and found >= moment


def _establish(ike: Ike, connection: IkeConnection) -> None:
    ike.load(connection, KEY)
    ike.initiate(connection.name)
    wait_until(lambda: ipsec.up(connection, ike.view()), 30, "associations")
