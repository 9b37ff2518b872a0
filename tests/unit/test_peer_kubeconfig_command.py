"""`isthmus peer-kubeconfig`: the kubeconfig that is handed to a peer ends, and is renewed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from isthmus.cli.handover import hand_over
from isthmus.cli.main import main
from isthmus.model.errors import Invalid, NotFound
from isthmus.model.peerkubeconfig import PeerCredential

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACE = "isthmus-peer-cloud-b"


class _Accounts:
    """A cluster with only the calls that the command makes."""

    def __init__(self, *missing: str) -> None:
        self._missing = missing
        self.annotations: dict[str, str] = {}
        self.authority = "an authority"

    def get_manifest(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Any:
        assert (api_version, namespace) == ("v1", NAMESPACE)
        found = {
            "ServiceAccount": {"metadata": {"name": "peer", "annotations": self.annotations}},
            "ConfigMap": {"data": {"ca.crt": self.authority}},
        }
        return None if kind in self._missing else found[kind]

    def annotate_account(self, namespace: str, name: str, annotations: dict[str, str | None]) -> None:
        assert (namespace, name) == (NAMESPACE, "peer")
        changed = {**self.annotations, **annotations}
        self.annotations = {key: value for key, value in changed.items() if value is not None}

    def request_token(self, namespace: str, account: str, seconds: int) -> tuple[str, datetime]:
        assert (namespace, account) == (NAMESPACE, "peer")
        return f"token-of-{seconds}-seconds", NOW + timedelta(seconds=seconds)


def test_kubeconfig_contains_server_authority_and_a_token_that_ends() -> None:
    accounts = _Accounts()
    made = hand_over(accounts, "cloud-b", "https://192.0.2.10:6443", 30)
    document = yaml.safe_load(made.kubeconfig)
    assert document["contexts"][0]["context"]["namespace"] == NAMESPACE
    credential = PeerCredential.parse(made.kubeconfig.encode())
    assert (credential.host, credential.port, credential.authority) == ("192.0.2.10", 6443, "an authority")
    assert credential.token == "token-of-2592000-seconds"
    assert made.ends == NOW + timedelta(days=30)
    assert accounts.annotations["isthmus.cloud/handed-over-until"] == "2026-01-31T00:00:00Z"


def test_authority_of_a_server_before_the_cluster_can_be_named() -> None:
    made = hand_over(_Accounts(), "cloud-b", "https://192.0.2.10:8443/isthmus", 30, "a gate's authority")
    credential = PeerCredential.parse(made.kubeconfig.encode())
    assert (credential.path, credential.authority) == ("/isthmus", "a gate's authority")


@pytest.mark.parametrize(
    ("content", "cause"),
    [(None, "No such file"), (b"", "not a file with"), (b"no certificate", "not a file with"), (b"\xff", "not a file")],
)
def test_file_without_certificates_is_refused(
    tmp_path: Path, content: bytes | None, cause: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the cluster is asked: there is none."""
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)
    assert main(["peer-kubeconfig", "cloud-b", "--renew", "--ca-file", str(path)]) == 1
    assert f"isthmus: --ca-file {path}: {cause}" in capsys.readouterr().err


def test_renewal_is_for_the_same_server() -> None:
    accounts = _Accounts()
    hand_over(accounts, "cloud-b", "https://192.0.2.10:6443", 30)
    made = hand_over(accounts, "cloud-b", None, 60)
    assert PeerCredential.parse(made.kubeconfig.encode()).host == "192.0.2.10"
    assert accounts.annotations["isthmus.cloud/handed-over-until"] == "2026-03-02T00:00:00Z"


def test_renewal_is_for_the_same_gate() -> None:
    """A gate has an authority of its own, and the peer trusts no other server at its URL."""
    accounts = _Accounts()
    hand_over(accounts, "cloud-b", "https://192.0.2.10:8443/isthmus", 30, "a gate's authority")
    for _ in range(2):
        made = hand_over(accounts, "cloud-b", None, 30)
        credential = PeerCredential.parse(made.kubeconfig.encode())
        assert (credential.port, credential.path, credential.authority) == (8443, "/isthmus", "a gate's authority")


def test_renewal_has_the_gate_s_new_authority() -> None:
    accounts = _Accounts()
    hand_over(accounts, "cloud-b", "https://192.0.2.10:8443/isthmus", 30, "a gate's authority")
    hand_over(accounts, "cloud-b", None, 30, "its next authority")
    made = hand_over(accounts, "cloud-b", None, 30)
    assert PeerCredential.parse(made.kubeconfig.encode()).authority == "its next authority"


def test_another_server_is_not_expected_to_have_the_gate_s_authority() -> None:
    accounts = _Accounts()
    hand_over(accounts, "cloud-b", "https://192.0.2.10:8443/isthmus", 30, "a gate's authority")
    hand_over(accounts, "cloud-b", "https://192.0.2.10:6443", 30)
    made = hand_over(accounts, "cloud-b", None, 30)
    assert PeerCredential.parse(made.kubeconfig.encode()).authority == "an authority"


def test_renewal_has_the_cluster_s_new_authority() -> None:
    accounts = _Accounts()
    hand_over(accounts, "cloud-b", "https://192.0.2.10:6443", 30)
    accounts.authority = "its next authority"
    made = hand_over(accounts, "cloud-b", None, 30)
    assert PeerCredential.parse(made.kubeconfig.encode()).authority == "its next authority"


def test_renewal_without_an_earlier_one_is_explained() -> None:
    with pytest.raises(Invalid, match="give --server"):
        hand_over(_Accounts(), "cloud-b", None, 30)


@pytest.mark.parametrize("missing", ["ServiceAccount", "ConfigMap"])
def test_missing_account_is_explained(missing: str) -> None:
    with pytest.raises(NotFound, match="apply a CloudPeer for cloud cloud-b first"):
        hand_over(_Accounts(missing), "cloud-b", "https://192.0.2.10:6443", 30)


@pytest.mark.parametrize(
    "arguments",
    [
        ["cloud-b"],
        ["cloud-b", "--renew", "--server", "https://a"],
        *(["b", "--renew", "--days", d] for d in ("0", "x", "366")),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["peer-kubeconfig", *arguments])
