"""A real haproxy with the documented configuration before a real API server: peers read links, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest

from isthmus.adapters.kubernetes import KubernetesCluster
from isthmus.adapters.peers import RemotePeers
from isthmus.cli.handover import hand_over
from isthmus.core.federation.namespace import account_manifests, namespace_manifest
from isthmus.model import names
from isthmus.model.peerkubeconfig import PeerCredential
from tests.contract.peers import PEER
from tests.contract.samples import answer_link, peer_link
from tests.fakes.federation import FakeFederation
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, make_user, token_of, wait_allowed
from .conftest import PUBLIC_ADDRESS, SECOND_ADDRESS
from .gate import Gate
from .gaterequests import BODIES, LINKS, METHODS, OTHER, SECRETS, TARGETS, request
from .pairedclouds import Side, invite, join, remove_files, running, side_on
from .reading import POLL_SECONDS, US, peer_kubeconfig, wait_for_view

OTHER_ADDRESS = "127.0.0.2"
LONG_WATCH_SECONDS = 60.0
KINDS = ("peerlinks", "expansionlinks", "portslices", "memberlinks")


@pytest.fixture(scope="module")
def gate(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    peers = {US: PUBLIC_ADDRESS, OTHER: OTHER_ADDRESS, "cloud-b": PUBLIC_ADDRESS}
    directory = tmp_path_factory.mktemp("gates")
    directory.chmod(0o755)
    gate = Gate(installed, directory / "gate", PUBLIC_ADDRESS, peers)
    gate.start()
    try:
        yield gate
    finally:
        gate.stop()


@pytest.fixture(scope="module")
def publisher(installed: ControlPlane) -> KubernetesCluster:
    """The controller behind the gate, which publishes for two peers."""
    cluster = KubernetesCluster(str(installed.kubeconfig), names.CONTROLLER)
    for cloud_id in (US, OTHER):
        for manifest in (namespace_manifest(cloud_id), *account_manifests(cloud_id)):
            cluster.apply_manifest(manifest)
        cluster.apply(peer_link(PEER, cloud_id))
    return cluster


@pytest.fixture(scope="module")
def peer_token(installed: ControlPlane, publisher: KubernetesCluster) -> str:
    del publisher
    namespace = names.peer_namespace(US)
    user = f"system:serviceaccount:{namespace}:{names.PEER_ACCOUNT}"
    wait_allowed(installed, user, "list", "peerlinks.isthmus.cloud", namespace)
    return token_of(installed, namespace, names.PEER_ACCOUNT)


@pytest.fixture(scope="module")
def admin_token(installed: ControlPlane) -> str:
    user = make_user(installed, "gate-administrator")
    installed.kubectl(
        "create", "clusterrolebinding", "gate-administrator", "--clusterrole=cluster-admin", f"--user={user}"
    )
    wait_allowed(installed, user, "list", "peerlinks.isthmus.cloud")
    return token_of(installed, USERS, "gate-administrator")


def test_peer_reads_and_watches_through_the_gate(gate: Gate, publisher: KubernetesCluster, peer_token: str) -> None:
    """A change is seen within 30 s, while a watch lasts a minute: it is not kept back until the watch ends."""
    peers = RemotePeers(US, LONG_WATCH_SECONDS)
    peers.start(Event().set)
    try:
        peers.follow({PEER: peer_kubeconfig(gate.url, gate.ca_certificate, {"token": peer_token})})
        view = wait_for_view(peers, lambda v: v.complete)
        assert view.peer_link is not None
        assert view.peer_link.spec == peer_link(PEER, US).spec
        for mtu in (1400, 1390):
            time.sleep(1)
            publisher.apply(answer_link(PEER, US, mtu=mtu))
            spec = answer_link(PEER, US, mtu=mtu).spec
            wait_for_view(peers, lambda v: spec in [link.spec for link in v.links.values()])  # noqa: B023
    finally:
        peers.stop()
    assert peer_token not in gate.log()


def test_outage_behind_the_gate_is_reported_and_ends(
    installed: ControlPlane, gate: Gate, publisher: KubernetesCluster, peer_token: str
) -> None:
    del publisher
    peers = RemotePeers(US, POLL_SECONDS)
    peers.start(Event().set)
    try:
        peers.follow({PEER: peer_kubeconfig(gate.url, gate.ca_certificate, {"token": peer_token})})
        wait_for_view(peers, lambda v: v.complete)
        with _stopped(installed):
            view = wait_for_view(peers, lambda v: "503" in v.message)
        assert view.reason == "PeerUnreachable"
        assert view.peer_link is not None, "what was read stays"
        wait_for_view(peers, lambda v: v.complete)
    finally:
        peers.stop()


@contextmanager
def _stopped(plane: ControlPlane) -> Iterator[None]:
    plane.stop()
    try:
        yield
    finally:
        plane.start()


@pytest.mark.parametrize("kind", KINDS)
def test_documented_requests_are_answered_by_the_api_server(gate: Gate, peer_token: str, kind: str) -> None:
    answer = gate.ask(request(f"{LINKS}/{kind}?limit=100", peer_token))
    assert (answer.status, json.loads(answer.body)["apiVersion"]) == (200, "isthmus.cloud/v1alpha1")


@pytest.mark.parametrize("target", TARGETS)
def test_gate_refuses_every_other_target_also_to_an_administrator(gate: Gate, admin_token: str, target: str) -> None:
    _require_refused(gate, request(target, admin_token))


@pytest.mark.parametrize("method", METHODS)
def test_gate_refuses_every_other_method(gate: Gate, admin_token: str, method: str) -> None:
    _require_refused(gate, request(f"{LINKS}/peerlinks", admin_token, method=method))


@pytest.mark.parametrize(("body", "headers"), BODIES)
def test_gate_refuses_another_protocol_and_a_body(
    gate: Gate, admin_token: str, body: bytes, headers: tuple[str, ...]
) -> None:
    _require_refused(gate, request(f"{LINKS}/peerlinks", admin_token, *headers) + body)


def test_gate_refuses_a_request_without_a_token(gate: Gate) -> None:
    request = f"GET {LINKS}/peerlinks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    _require_refused(gate, request)


@pytest.mark.parametrize("request_line", ["GET", "GET / HTTP/0.9", f"GET {LINKS}/peerlinks", "PRI * HTTP/2.0"])
def test_gate_refuses_what_is_no_request_of_http_1_1(gate: Gate, request_line: str) -> None:
    _require_refused(gate, f"{request_line}\r\n\r\n".encode())


def test_second_request_of_a_connection_is_judged_for_itself(gate: Gate, admin_token: str) -> None:
    first = request(f"{LINKS}/peerlinks", admin_token).replace(b"Connection: close\r\n", b"")
    second = gate.ask(first + request(f"/isthmus{SECRETS}", admin_token))
    assert second.status == 200
    head, _, refusal = second.body.partition(b"HTTP/1.1 403 ")
    assert b'"PeerLinkList"' in head
    assert b"Secret" not in second.body
    assert refusal


def test_each_peer_has_its_own_namespace_and_addresses(
    gate: Gate, admin_token: str, publisher: KubernetesCluster
) -> None:
    del publisher
    others = LINKS.replace(US, OTHER)
    assert gate.ask(request(f"{others}/peerlinks", admin_token), OTHER_ADDRESS).status == 200
    _require_refused(gate, request(f"{LINKS}/peerlinks", admin_token), OTHER_ADDRESS)
    _require_refused(gate, request(f"{others}/peerlinks", admin_token), "127.0.0.3")


def test_no_other_header_reaches_the_api_server(gate: Gate, admin_token: str, peer_token: str) -> None:
    """An impersonation would be refused to the peer's account, and not to an administrator."""
    impersonating = ("Impersonate-User: nobody", "X-Remote-User: admin", "X-Forwarded-For: 203.0.113.1")
    for token in (admin_token, peer_token):
        assert gate.ask(request(f"{LINKS}/peerlinks", token, *impersonating)).status == 200


def test_administrator_can_do_all_that_without_the_gate(installed: ControlPlane, admin_token: str) -> None:
    """Else the refusals would prove nothing."""
    direct = installed.kubectl("get", "--raw", SECRETS, "--token", admin_token, kubeconfig=_without_user(installed))
    assert json.loads(direct)["kind"] == "SecretList"


def _without_user(plane: ControlPlane) -> Path:
    document = json.loads(plane.kubeconfig.read_text())
    document["users"][0]["user"] = {}
    path = plane.kubeconfig.with_name("nobody.kubeconfig")
    path.write_text(json.dumps(document))
    return path


def _require_refused(gate: Gate, request: bytes, source: str = "") -> None:
    """By the gate itself: no server was asked, and the answer is not one of Kubernetes."""
    answer = gate.ask(request, source)
    assert answer.status in (400, 403, 405, 501)
    assert b'"kind"' not in answer.body
    for line in wait_until(lambda: gate.logged(answer), 60, "a line of the log"):
        assert "<NOSRV>" in line, line


@pytest.fixture
def sides(
    installed: ControlPlane, second_plane: ControlPlane, gate: Gate, tmp_path: Path
) -> Iterator[tuple[Side, Side]]:
    one, other = FakeFederation().clouds
    a = side_on(one, installed, tmp_path / "a", gate.url)
    b = side_on(other, second_plane, tmp_path / "b", second_plane.server_at(SECOND_ADDRESS))
    with running(a, b):
        yield a, b


def _require_renewal_for_the_same(credential: PeerCredential, side: Side) -> None:
    """A renewed kubeconfig differs in its token alone."""
    made = hand_over(KubernetesCluster(str(side.plane.kubeconfig), "isthmus"), "cloud-b", None, 30)
    renewed = PeerCredential.parse(made.kubeconfig.encode())
    assert renewed.token != credential.token
    assert replace(renewed, token=credential.token) == credential


def test_clouds_agree_through_the_gate(sides: tuple[Side, Side], gate: Gate) -> None:
    """With the gate's URL, which has a path, and with its authority; the other cloud has none."""
    a, b = sides
    remove_files(a, b)
    without = a.plugin.sentence(*invite(a), code=1)
    assert "name that by --ca-file" in without
    invited = a.plugin.run(*invite(a, "cloud-b", "--ca-file", str(gate.ca_certificate)))
    assert (invited.returncode, invited.stderr) == (0, "")
    file, code = a.plugin.directory / "cloud-a.for.cloud-b.isthmus", a.plugin.directory / "isthmus-code"
    joined = b.plugin.run(*join(b, file, code))
    assert (joined.returncode, joined.stderr) == (0, "")
    answer = b.plugin.directory / "cloud-b.for.cloud-a.isthmus"
    accepted = a.plugin.run("accept", str(answer), "--code-file", str(code), "--yes")
    assert (accepted.returncode, accepted.stderr) == (0, "")
    for side, peer in ((a, "cloud-b"), (b, "cloud-a")):
        side.wait(peer, "Ready")
    credential = PeerCredential.parse(b.secrets()["isthmus-system"]["kubeconfig"].encode())
    assert (credential.port, credential.path) == (8443, "/isthmus")
    # It is logged when it ends.
    wait_until(lambda: "isthmus-peer-cloud-b/peerlinks?watch=1" in gate.log(), 60, "a watch in the gate's log")
    _require_renewal_for_the_same(credential, a)
    for side, peer in ((a, "cloud-b"), (b, "cloud-a")):
        assert side.plugin.run("revoke", peer, "--yes").returncode == 0
