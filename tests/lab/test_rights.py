"""Rights are real: what each account may do in a cloud that runs, asked of its API server with its own credential."""

import json
from pathlib import Path

import pytest

from tests.lab.federation import Federation
from tests.lab.kube import KubectlError

PEER = "isthmus-peer-cloud-b"


@pytest.fixture(scope="module")
def peer_credential(peers: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cloud A's administrator handed to cloud B."""
    path = tmp_path_factory.mktemp("peer") / "peer.kubeconfig"
    path.write_text(peers.a.kubeconfig_for("cloud-b"))
    return path


@pytest.mark.parametrize("kind", ["peerlinks.isthmus.cloud", "expansionlinks.isthmus.cloud"])
def test_peer_reads_the_halves_that_are_for_it(peers: Federation, peer_credential: Path, kind: str) -> None:
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
        ("delete", "peerlinks", "cloud-a", "-n", PEER),
        ("annotate", "peerlinks", "cloud-a", "-n", PEER, "touched=yes"),
        ("create", "serviceaccount", "-n", PEER, "intruder"),
    ],
    ids=" ".join,
)
def test_peer_can_do_nothing_else(peers: Federation, peer_credential: Path, request_: tuple[str, ...]) -> None:
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl(*request_, kubeconfig=peer_credential)


@pytest.mark.parametrize("namespace", ["isthmus-ipsec", "isthmus-system", "default", PEER])
def test_agent_reads_no_secret_but_its_own(peers: Federation, namespace: str) -> None:
    """The keys that CloudPeers name it reads one by one; it lists none, not even where they are."""
    agent = peers.a.kubeconfig("agent")
    peers.a.cloud.kube.kubectl("get", "secret", "-n", "isthmus-ipsec", "peer-cloud-b", kubeconfig=agent)
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl("get", "secrets", "-n", namespace, kubeconfig=agent)


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        ("cloudpeers", ()),
        ("gatewaynodes", ()),
        ("attachments", ("-n", "isthmus-system")),
        ("peerlinks", ("-n", PEER)),
    ],
)
def test_agent_writes_no_object(peers: Federation, kind: str, where: tuple[str, ...]) -> None:
    agent = peers.a.kubeconfig("agent")
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl("delete", kind, "whatever", *where, kubeconfig=agent)


def test_controller_cannot_read_pre_shared_keys(peers: Federation) -> None:
    with pytest.raises(KubectlError, match=r"[Ff]orbidden"):
        peers.a.cloud.kube.kubectl("get", "secrets", "-n", "isthmus-ipsec", kubeconfig=peers.a.kubeconfig("controller"))
