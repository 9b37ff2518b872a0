"""Rights of each account in a running cloud, checked at its API server with its own credential."""

import json
from functools import partial
from pathlib import Path

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, wait_for_account, wait_reason
from tests.testbed.kubernetes.cluster import KubectlError

OWN, PEER = "cloud-a", "isthmus-peer-cloud-b"
NETWORK_ID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def peer_credential(peers: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The credential that cloud A's administrator handed to cloud B."""
    path = tmp_path_factory.mktemp("peer") / "peer.kubeconfig"
    path.write_text(peers.a.kubeconfig_for("cloud-b"))
    return path


@pytest.mark.parametrize("kind", ["peerlinks.isthmus.cloud", "expansionlinks.isthmus.cloud"])
def test_peer_reads_the_links_published_for_it(peers: Federation, peer_credential: Path, kind: str) -> None:
    found = peers.a.cloud.kube.kubectl("get", kind, "-n", PEER, "-o", "json", kubeconfig=peer_credential)
    assert json.loads(found)["kind"] == "List"


@pytest.mark.parametrize(
    "request_",
    [
        ("get", "secrets", "-n", PEER),
        ("get", "peerlinks", "-A"),
        ("get", "attachments", "-n", "isthmus-system"),
        ("get", "cloudpeers"),
        ("get", "networkexpansions", "-A"),
        ("get", "gatewaynodes"),
        ("get", "namespaces"),
        ("get", "secrets", "-n", "isthmus-ipsec"),
        ("delete", "peerlinks", OWN, "-n", PEER),
        ("annotate", "peerlinks", OWN, "-n", PEER, "touched=yes"),
        ("create", "serviceaccount", "-n", PEER, "intruder"),
    ],
    ids=" ".join,
)
def test_peer_has_no_other_rights(peers: Federation, peer_credential: Path, request_: tuple[str, ...]) -> None:
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl(*request_, kubeconfig=peer_credential)


@pytest.mark.parametrize("path", [f"peerlinks/{OWN}", f"expansionlinks/{OWN}.{NETWORK_ID}"])
def test_peer_cannot_write_links_or_statuses(peers: Federation, peer_credential: Path, path: str) -> None:
    place = f"namespaces/{PEER}/{path}"
    for verb, where in (("create", place.rpartition("/")[0]), ("replace", place), ("replace", f"{place}/status")):
        require_forbidden(peers, peer_credential, verb, where)


def test_peer_cannot_patch_links(peers: Federation, peer_credential: Path) -> None:
    require_patch_forbidden(peers, peer_credential, "peerlinks", OWN, "-n", PEER)


@pytest.mark.parametrize("namespace", ["isthmus-system", "default", PEER])
def test_agent_cannot_list_secrets(peers: Federation, namespace: str) -> None:
    """It lists and watches the namespace of the pre-shared keys, and no other."""
    agent = peers.a.kubeconfig("agent")
    peers.a.cloud.kube.kubectl("get", "secrets", "-n", "isthmus-ipsec", kubeconfig=agent)
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl("get", "secrets", "-n", namespace, kubeconfig=agent)


@pytest.mark.parametrize(
    ("role", "namespace", "name"),
    [
        ("agent", "isthmus-system", "peer-cloud-b"),
        ("controller", "isthmus-ipsec", "peer-cloud-b"),
    ],
)
def test_others_secrets_cannot_be_read_by_name(peers: Federation, role: str, namespace: str, name: str) -> None:
    secret = ("get", "secret", "-n", namespace, name)
    peers.a.cloud.kubectl(*secret)
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl(*secret, kubeconfig=peers.a.kubeconfig(role))


def test_agent_cannot_read_secrets_in_a_peers_namespace(peers: Federation) -> None:
    """Releases that gave peers a token without an end keep it there."""
    secret = ("secret", "peer-token", "-n", PEER)
    peers.a.cloud.kubectl("create", "secret", "generic", *secret[1:], "--from-literal=token=sample")
    try:
        with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
            peers.a.cloud.kube.kubectl("get", *secret, kubeconfig=peers.a.kubeconfig("agent"))
    finally:
        peers.a.cloud.kubectl("delete", *secret)


def test_controller_cannot_list_pre_shared_keys(peers: Federation) -> None:
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl("get", "secrets", "-n", "isthmus-ipsec", kubeconfig=peers.a.kubeconfig("controller"))


@pytest.mark.parametrize(
    "path",
    [
        "cloudpeers/cloud-b",
        "gatewaynodes/gw-a1",
        "ipsecpolicies/strong",
        "namespaces/default/networkexpansions/web",
        f"namespaces/isthmus-system/attachments/{OWN}.{NETWORK_ID}",
        f"namespaces/{PEER}/peerlinks/{OWN}",
        f"namespaces/{PEER}/expansionlinks/{OWN}.{NETWORK_ID}",
    ],
)
def test_agent_cannot_write_objects(peers: Federation, path: str) -> None:
    """Not even a whole status: an agent only patches its entries."""
    requests = (("create", path.rpartition("/")[0]), ("replace", path), ("delete", path), ("replace", f"{path}/status"))
    for verb, where in requests:
        require_forbidden(peers, peers.a.kubeconfig("agent"), verb, where)


@pytest.mark.parametrize(
    "what",
    [("gatewaynodes", "gw-a1"), ("secrets", "peer-cloud-b", "-n", "isthmus-ipsec")],
    ids=" ".join,
)
def test_agent_can_patch_only_its_status_entries(peers: Federation, what: tuple[str, ...]) -> None:
    require_patch_forbidden(peers, peers.a.kubeconfig("agent"), *what)


@pytest.mark.parametrize("kind", ["attachments", "cloudpeers", "ipsecpolicies", "peerlinks", "expansionlinks"])
def test_agent_cannot_patch_what_it_cannot_get(peers: Federation, kind: str) -> None:
    """kubectl would read the object before patching it, so ask the API server instead."""
    may = partial(answer, peers, peers.a.kubeconfig("agent"), "auth", "can-i")
    assert "yes" in may("list", "cloudpeers.isthmus.cloud")
    assert "yes" not in may("patch", f"{kind}.isthmus.cloud", "--all-namespaces")


def test_deleting_the_account_revokes_the_peers_credential(peers: Federation, peer_credential: Path) -> None:
    """The old token is rejected and the peer reports it; it recovers with a new credential."""
    ask = ("get", "peerlinks.isthmus.cloud", "-n", PEER, "-o", "name")
    assert peers.a.cloud.kube.kubectl(*ask, kubeconfig=peer_credential)
    peers.a.cloud.kubectl("delete", "serviceaccount", "-n", PEER, "peer")
    try:
        # The API server caches authentication results for ten seconds.
        wait_until(lambda: "be logged in" in answer(peers, peer_credential, *ask), 30, "the old token to be rejected")
        wait_reason(peers.b.cloud, "cloudpeer", OWN, "PeerForbidden")
    finally:
        wait_for_account(peers.a.cloud, "cloud-b")
        peer_credential.write_text(peers.a.kubeconfig_for("cloud-b"))
        peers.b.set_peer_kubeconfig(OWN, peer_credential.read_text())
    assert peers.a.cloud.kube.kubectl(*ask, kubeconfig=peer_credential)
    peers.wait_for_peers()


def require_forbidden(peers: Federation, credential: Path, verb: str, path: str) -> None:
    """A raw request to the API server, which is forbidden whether the object exists or not."""
    url = f"/apis/isthmus.cloud/v1alpha1/{path}"
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl(verb, "--raw", url, "-f", "-", input="{}", kubeconfig=credential)


def require_patch_forbidden(peers: Federation, credential: Path, *what: str) -> None:
    """The object can be read, so that it is the patch that is forbidden."""
    kubectl = peers.a.cloud.kube.kubectl
    kubectl("get", *what, kubeconfig=credential)
    with pytest.raises(KubectlError, match=r"cannot patch"):
        kubectl(
            "patch", *what, "--type=merge", "-p", '{"metadata":{"labels":{"touched":"yes"}}}', kubeconfig=credential
        )


def answer(peers: Federation, credential: Path, *request_: str) -> str:
    """Output or error of kubectl with that credential."""
    try:
        return peers.a.cloud.kube.kubectl(*request_, kubeconfig=credential)
    except KubectlError as error:
        return str(error)
