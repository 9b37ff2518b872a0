"""Reading a peer from a real API server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.adapters.peers import RemotePeers
from isthmus.cli.handover import hand_over
from isthmus.core.federation.namespace import account_manifests, namespace_manifest
from isthmus.model import names
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkStatus
from isthmus.model.errors import NotFound
from isthmus.ports import PeerReader
from tests.cluster.reading import POLL_SECONDS, US, peer_kubeconfig, wait_for_view
from tests.contract.peers import PEER, PeerReaderContract
from tests.contract.samples import answer_link, peer_link
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority


class WakeCounter:
    """Counts how often the controller would have been woken."""

    def __init__(self) -> None:
        self.count = 0

    def wake(self, _: object = None) -> None:
        self.count += 1

    def at_rest(self) -> int:
        """The count once it stays the same: a view may be seen a moment before the call that reports it."""
        while True:
            before = self.count
            time.sleep(4 * POLL_SECONDS)
            if self.count == before:
                return before


@pytest.fixture
def wakes() -> WakeCounter:
    return WakeCounter()


@pytest.fixture
def peers(wakes: WakeCounter) -> Iterator[RemotePeers]:
    peers = RemotePeers(US, POLL_SECONDS)
    peers.start(wakes.wake)
    yield peers
    peers.stop()


@pytest.fixture(scope="module")
def publisher(installed: ControlPlane) -> KubernetesCluster:
    """The peer's controller, which publishes for us."""
    cluster = KubernetesCluster(str(installed.kubeconfig), names.CONTROLLER)
    for manifest in (namespace_manifest(US), *account_manifests(US)):
        cluster.apply_manifest(manifest)
    return cluster


@pytest.fixture(scope="module")
def kubeconfig(installed: ControlPlane, publisher: KubernetesCluster) -> bytes:
    """The credential from the peer's administrator."""
    return _handed_over(installed, publisher, US)


class TestRemotePeers(PeerReaderContract):
    @pytest.fixture
    def kubeconfig(self, installed: ControlPlane, publisher: KubernetesCluster, us: str) -> bytes:
        for manifest in (namespace_manifest(us), *account_manifests(us)):
            publisher.apply_manifest(manifest)
        return _handed_over(installed, publisher, us)

    @pytest.fixture
    def peers(self, us: str, wakes: WakeCounter) -> Iterator[PeerReader]:
        peers = RemotePeers(us, POLL_SECONDS)
        peers.start(wakes.wake)
        yield peers
        peers.stop()

    @pytest.fixture
    def cut(self, installed: ControlPlane, peers: PeerReader) -> Callable[[], None]:
        nobody = peer_kubeconfig("https://127.0.0.1:1", installed.ca_certificate, {"token": "t"})
        return lambda: peers.follow({PEER: nobody})


class TestRealServer:
    def test_published_objects_are_read_and_wake_the_loop_once(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers, wakes: WakeCounter
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        publisher.apply(answer_link(PEER, US, mtu=1400))
        peers.follow({PEER: kubeconfig})
        view = wait_for_view(peers, lambda v: v.complete)
        assert view.peer_link is not None
        assert view.peer_link.spec == peer_link(PEER, US).spec
        (name,) = view.links
        count = wakes.at_rest()
        publisher.apply(answer_link(PEER, US, mtu=1390))
        changed = wait_for_view(peers, lambda v: v.links[name].generation == 2)
        assert changed.links[name].spec == answer_link(PEER, US, mtu=1390).spec
        assert wakes.at_rest() == count + 1
        publisher.apply_status(
            answer_link(PEER, US, mtu=1390).model_copy(update={"status": ExpansionLinkStatus(mtu=1390)})
        )
        publisher.delete(ExpansionLink, name, names.peer_namespace(US))
        gone = wait_for_view(peers, lambda v: not v.links)
        assert gone.complete
        assert wakes.at_rest() == count + 2, "a status change does not wake the controller"

    def test_revoked_token_is_reported_and_last_view_is_kept(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        peers.follow({PEER: kubeconfig})
        wait_for_view(peers, lambda v: v.complete)
        peers.follow({PEER: kubeconfig.replace(b"eyJ", b"eyK")})
        view = wait_for_view(peers, lambda v: not v.reachable)
        assert view.reason == "PeerForbidden"
        assert not view.complete
        assert view.peer_link is not None
        peers.follow({PEER: kubeconfig})
        wait_for_view(peers, lambda v: v.complete)

    def test_absent_server_is_unreachable(self, installed: ControlPlane, peers: RemotePeers) -> None:
        peers.follow({PEER: peer_kubeconfig("https://127.0.0.1:1", installed.ca_certificate, {"token": "t"})})
        assert wait_for_view(peers, lambda v: not v.reachable).reason == "PeerUnreachable"

    def test_certificate_of_another_authority_is_rejected(
        self, installed: ControlPlane, tmp_path: Path, peers: RemotePeers
    ) -> None:
        other = Authority(tmp_path)
        other.issue("any", "/CN=any", ["extendedKeyUsage=serverAuth"])
        server = installed.server_at("127.0.0.1")
        peers.follow({PEER: peer_kubeconfig(server, tmp_path / "ca.crt", {"token": "t"})})
        view = wait_for_view(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert "CERTIFICATE_VERIFY_FAILED" in view.message

    def test_certificate_is_verified_against_tls_server_name(
        self, publisher: KubernetesCluster, kubeconfig: bytes, peers: RemotePeers
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        peers.follow({PEER: _with_cluster(kubeconfig, **{"tls-server-name": "kubernetes.default.svc"})})
        wait_for_view(peers, lambda v: v.complete)
        peers.follow({PEER: _with_cluster(kubeconfig, **{"tls-server-name": "elsewhere.example"})})
        view = wait_for_view(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert "elsewhere.example" in view.message

    def test_public_authorities_are_trusted_if_none_is_given(
        self,
        installed: ControlPlane,
        publisher: KubernetesCluster,
        kubeconfig: bytes,
        peers: RemotePeers,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        publisher.apply(peer_link(PEER, US))
        without = _with_cluster(kubeconfig, **{"certificate-authority-data": None})
        peers.follow({PEER: without})
        view = wait_for_view(peers, lambda v: not v.reachable)
        assert view.reason == "PeerUnreachable"
        assert view.message.endswith(
            "(the kubeconfig has no certificate-authority-data: only public authorities are trusted)"
        )
        monkeypatch.setenv("SSL_CERT_FILE", str(installed.ca_certificate))  # where OpenSSL looks for public authorities
        peers.follow({})
        peers.follow({PEER: without})
        wait_for_view(peers, lambda v: v.complete)

    def test_invalid_kubeconfig_is_reported_by_field(
        self, installed: ControlPlane, tmp_path: Path, peers: RemotePeers
    ) -> None:
        executed = tmp_path / "executed"
        user: dict[str, object] = {"exec": {"command": "touch", "args": [str(executed)]}}
        peers.follow({PEER: peer_kubeconfig(installed.server_at("127.0.0.1"), installed.ca_certificate, user)})
        view = wait_for_view(peers, lambda v: not v.reachable)
        assert (view.reason, view.message) == ("InvalidKubeconfig", "field not allowed: exec")
        assert not executed.exists()

    def test_peer_no_longer_followed_is_forgotten(self, kubeconfig: bytes, peers: RemotePeers) -> None:
        peers.follow({PEER: kubeconfig})
        wait_for_view(peers, lambda v: v.complete)
        peers.follow({})
        assert peers.views() == {}


def _handed_over(plane: ControlPlane, publisher: KubernetesCluster, cloud_id: str) -> bytes:
    def made() -> bytes:
        with suppress(NotFound):  # Kubernetes publishes its authority in a new namespace a moment later
            return hand_over(publisher, cloud_id, plane.server_at("127.0.0.1"), 1).kubeconfig.encode()
        return b""

    return wait_until(made, 60, "the kubeconfig")


def _with_cluster(kubeconfig: bytes, **fields: object) -> bytes:
    document = yaml.safe_load(kubeconfig)
    document["clusters"][0]["cluster"] |= fields
    return json.dumps(document).encode()
