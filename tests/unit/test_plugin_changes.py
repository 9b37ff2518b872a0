"""Verbs of `kubectl isthmus` that change something: why each of them changes nothing, without a cluster."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.plugin import reach
from isthmus.plugin.core.bundles.bundle import Header, Type, seal
from isthmus.plugin.core.bundles.code import PairingCode
from isthmus.plugin.core.failures import is_refusal, sentence
from isthmus.plugin.core.refusals import Misused
from isthmus.plugin.main import main
from tests.fakes.failures import failure
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl, forbidden, lease

SERVER = "https://192.0.2.10:6443"
CODE = PairingCode.new(bytes(17))
HEADER = Header(Type.INVITATION, "cloud-a", "cloud-b", datetime(2099, 1, 1, tzinfo=UTC), b"i" * 32, b"i" * 32)


@pytest.fixture
def kubectl(kubectl: FakeKubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "invitation").write_bytes(seal(HEADER, b"{}", CODE))
    (tmp_path / "code").write_text(CODE.text())
    return kubectl


VERBS = {
    "invite": ["invite", "cloud-x", "--server", SERVER, "--code-file", "new-code"],
    "join": ["join", "invitation", "--server", SERVER, "--code-file", "code"],
    "accept": ["accept", "invitation", "--code-file", "code"],
    "cordon": ["cordon", "cloud-x"],
    "uncordon": ["uncordon", "cloud-x"],
    "drain": ["drain", "cloud-x"],
    "revoke": ["revoke", "cloud-x"],
    "revoke --credential": ["revoke", "cloud-x", "--credential"],
    "forget": ["forget", "cloud-x"],
}
OF_AGREEMENTS = ("invite", "join", "accept")


def refused(capsys: pytest.CaptureFixture[str], code: int, verb: str) -> str:
    """The sentence, as the only output."""
    return failure(capsys, *VERBS[verb], code=code)


def is_read_only(kubectl: FakeKubectl) -> bool:
    return all(" get " in call or call.startswith("get ") for call in kubectl.calls)


@pytest.mark.parametrize("verb", VERBS)
def test_cluster_that_cannot_be_read(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails("Error in configuration: context was not found for specified context: nope")
    assert refused(capsys, 3, verb).startswith("the kubeconfig has no context 'nope'")
    kubectl.fails(MISSING_KIND)
    kubectl.group([])
    assert refused(capsys, 3, verb).startswith("Isthmus is not installed in this cluster")
    kubectl.group(["v9"])
    assert "the cluster serves v9: use the plugin of its release" in refused(capsys, 3, verb)
    kubectl.objects([], forbidden("cloudpeers"), 1)
    kubectl.leases([])
    assert refused(capsys, 3, verb) == "cloudpeers: no right to list them at the cluster scope"
    assert is_read_only(kubectl)


@pytest.mark.parametrize("verb", OF_AGREEMENTS)
def test_controller_that_is_away_or_older(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    assert refused(capsys, 1, verb) == "no controller is active in this cluster: kubectl isthmus status"
    kubectl.leases([lease("isthmus-controller", "2020-01-01T00:00:00Z")])
    assert refused(capsys, 1, verb).startswith("no controller is active")
    kubectl.leases([lease("isthmus-controller", datetime.now(UTC).isoformat())])
    assert refused(capsys, 1, verb).startswith("the controller does not publish this cloud's ID")
    assert is_read_only(kubectl)


def test_joining_our_own_invitation(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    active = lease("isthmus-controller", datetime.now(UTC).isoformat())
    active["metadata"]["annotations"] = {"isthmus.cloud/cloud-id": "cloud-a"}
    kubectl.leases([active])
    assert refused(capsys, 1, "join").startswith("the invitation is your own")
    assert refused(capsys, 1, "accept").startswith("the file is your own invitation")
    active["metadata"]["annotations"] = {"isthmus.cloud/cloud-id": "cloud-c"}
    kubectl.leases([active])
    assert refused(capsys, 1, "join") == "the invitation is for cloud-b, and this is cloud-c"
    assert is_read_only(kubectl)


@pytest.mark.parametrize("verb", ["invite", "join"])
def test_server_is_required(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb, "something"])
    assert ended.value.code == 2
    assert "the following arguments are required: --server" in capsys.readouterr().err


@pytest.mark.parametrize("option", [[], ["--unchecked"]])
@pytest.mark.parametrize("verb", ["invite", "join"])
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the certificate authority ca.crt is empty"),
        (b" \n\n", "the certificate authority ca.crt is empty"),
        (b"not PEM", "the certificate authority is not in PEM"),
        ("Zertifikat für uns".encode(), "the certificate authority is not in PEM"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "the certificate authority is not in PEM"),
    ],
)
def test_authority_that_is_none(
    kubectl: FakeKubectl,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    option: list[str],
    content: bytes,
    sentence: str,
) -> None:
    """Also if the server is not tried: the peer could not use the file."""
    Path("ca.crt").write_bytes(content)
    assert failure(capsys, *VERBS[verb], "--ca-file", "ca.crt", *option, code=2) == sentence
    assert kubectl.calls == []


def test_status_names_the_cloud_before_it_has_a_peer(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    active = lease("isthmus-controller", datetime.now(UTC).isoformat())
    active["metadata"]["annotations"] = {"isthmus.cloud/cloud-id": "cloud-a"}
    kubectl.leases([active])
    assert main(["status", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["cloudID"] == "cloud-a"


@pytest.mark.parametrize(
    ("stderr", "text", "refusal"),
    [
        (
            'Error from server (Forbidden): secrets is forbidden: User "x" cannot create resource "secrets" in API '
            'group "" in the namespace "isthmus-ipsec"',
            'no right to create secrets in the namespace "isthmus-ipsec"',
            False,
        ),
        (
            'Error from server (Forbidden): cloudpeers.isthmus.cloud "b" is forbidden: User "x" cannot patch resource '
            '"cloudpeers" in API group "isthmus.cloud" at the cluster scope',
            "no right to patch cloudpeers at the cluster scope",
            False,
        ),
        ('The CloudPeer "b" is invalid: spec: x', 'kubectl failed: The CloudPeer "b" is invalid: spec: x', True),
        ("Unable to connect to the server: x", "the API server does not answer: Unable to connect to the serve", False),
    ],
)
def test_failed_changes_are_sentences(stderr: str, text: str, refusal: bool) -> None:
    assert sentence(stderr).startswith(text)
    assert is_refusal(stderr) == refusal


def test_name_that_is_a_loopback_address_is_no_server() -> None:
    """A name in /etc/hosts, for instance: what counts is the address that was connected to."""

    class Connected:
        def getpeername(self) -> tuple[str, int]:
            return "127.0.1.1", 6443

    with pytest.raises(Misused, match="is a loopback address"):
        reach._require_remote("https://gateway.example", Connected())  # type: ignore[arg-type]
