"""Contract of ports.PeerReader."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from isthmus.core.federation.namespace import namespace_manifest
from isthmus.model import names
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, PublishedPort
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.facts.peer import PeerView
from isthmus.model.protocol import PROTOCOL_VERSIONS
from isthmus.ports import Cluster, PeerReader
from tests.testbed.host.process import wait_until

from .samples import NETWORK_ID, answer_link, member_link, peer_link, port_slice

PEER = "published"


class PeerReaderContract:
    """Fixtures: `peers`, `publisher` (the peer's own client), `kubeconfig` (ours), `cut` (ends access to it)."""

    @pytest.fixture
    def us(self) -> str:
        return f"readers-{uuid.uuid4().hex[:8]}"

    @pytest.fixture
    def followed(self, us: str, publisher: Cluster, kubeconfig: bytes, peers: PeerReader) -> PeerReader:
        """The peer has published both kinds of link, and we have read them."""
        publisher.apply_manifest(namespace_manifest(us))
        offered = peer_link(PEER, us)
        spec = offered.spec.model_copy(update={"protocol_versions": PROTOCOL_VERSIONS})
        publisher.apply(offered.model_copy(update={"spec": spec}))
        publisher.apply(answer_link(PEER, us, mtu=1400))
        peers.follow({PEER: kubeconfig})
        _wait(peers, lambda v: v.complete)
        return peers

    def test_published_links_are_read(self, us: str, publisher: Cluster, followed: PeerReader) -> None:
        answer = answer_link(PEER, us, mtu=1400)
        view = followed.views()[PEER]
        assert view.reachable
        assert view.peer_link is not None
        assert (view.peer_link.spec and view.peer_link.spec.cloud_id, view.peer_link.generation) == (PEER, 1)
        name = answer.metadata.name
        assert {n: (k.spec, k.generation) for n, k in view.links.items()} == {name: (answer.spec, 1)}
        publisher.apply(answer_link(PEER, us, mtu=1390))
        _wait(followed, lambda v: v.links[name].generation == 2)
        publisher.delete(ExpansionLink, name, names.peer_namespace(us))
        publisher.delete(PeerLink, PEER, names.peer_namespace(us))
        assert _wait(followed, lambda v: not v.links and v.peer_link is None).complete

    def test_port_slices_are_read_of_a_peer_that_has_them(
        self, us: str, publisher: Cluster, followed: PeerReader
    ) -> None:
        port = PublishedPort(id=NETWORK_ID, mac="fa:16:3e:00:00:01", addresses=("10.20.0.9",))
        slice_ = port_slice(PEER, us, port)
        publisher.apply(slice_)
        link = slice_.spec.origin.link_name
        view = _wait(followed, lambda v: link in v.port_slices)
        assert {bucket: each.spec for bucket, each in view.port_slices[link].items()} == {0: slice_.spec}
        publisher.delete(PortSlice, slice_.metadata.name, names.peer_namespace(us))
        assert _wait(followed, lambda v: not v.port_slices).complete

    def test_member_links_are_read_of_a_peer_that_has_them(
        self, us: str, publisher: Cluster, followed: PeerReader
    ) -> None:
        published = member_link(PEER, us)
        name = published.metadata.name
        publisher.apply(published)
        view = _wait(followed, lambda v: name in v.member_links and v.member_links_complete)
        assert view.member_links[name].spec == published.spec
        publisher.delete(MemberLink, name, names.peer_namespace(us))
        assert _wait(followed, lambda v: not v.member_links).member_links_complete

    def test_peers_not_followed_are_not_reported(self, followed: PeerReader) -> None:
        followed.follow({})
        assert followed.views() == {}

    def test_last_view_is_kept_while_the_peer_is_unreachable(
        self, followed: PeerReader, cut: Callable[[], None]
    ) -> None:
        before = followed.views()[PEER]
        cut()
        view = _wait(followed, lambda v: not v.reachable)
        assert (view.complete, view.reason) == (False, "PeerUnreachable")
        assert view.message
        assert (view.peer_link, view.links) == (before.peer_link, before.links)

    def test_peer_that_deleted_its_namespace_is_forbidden(
        self, us: str, publisher: Cluster, followed: PeerReader
    ) -> None:
        """Our account is deleted with its namespace."""
        publisher.delete_manifest("v1", "Namespace", names.peer_namespace(us))
        view = _wait(followed, lambda v: not v.reachable)
        assert (view.complete, view.reason) == (False, "PeerForbidden")


def _wait(peers: PeerReader, expected: Callable[[PeerView], bool]) -> PeerView:
    def seen() -> PeerView | None:
        view = peers.views().get(PEER)
        return view if view is not None and expected(view) else None

    found = wait_until(seen, 30, "the expected view of the peer", poll_seconds=0.05)
    assert found is not None
    return found
