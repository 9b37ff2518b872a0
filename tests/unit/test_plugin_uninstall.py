"""`kubectl isthmus uninstall` without a cluster: the order in which things go, and why they do not go."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from isthmus.plugin import uninstall
from isthmus.plugin.core.removal.installation import DEFINITIONS
from isthmus.plugin.main import main
from tests.fakes.failures import failure_at_last
from tests.fakes.kubectl import FakeKubectl, forbidden, lease, listed
from tests.fakes.removal import (
    AWAY,
    NETWORK,
    PEER,
    ending,
    forgotten,
    gateway,
    role,
)


@pytest.fixture
def kubectl(kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    (kubectl.path / "cat").symlink_to(shutil.which("cat") or "")
    monkeypatch.setenv("PATH", str(kubectl.path))  # without a helm that this computer may have
    monkeypatch.setattr(uninstall, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(uninstall, "_SETTLE_SECONDS", 0.2)
    kubectl.leases([lease("isthmus-controller", datetime.now(UTC).isoformat())])
    return kubectl


def definitions(*versions: str) -> str:
    served = [{"name": version, "served": True} for version in versions or ("v1alpha1",)]
    return listed(
        *(
            {"metadata": {"name": name}, "spec": {"names": {"plural": name.partition(".")[0]}, "versions": served}}
            for name in DEFINITIONS
        )
    )


def helm(kubectl: FakeKubectl, code: int = 0, stderr: str = "") -> Path:
    """A helm that only writes its command line to a file."""
    calls = kubectl.path.parent / "helm-calls"
    script = kubectl.path / "helm"
    script.write_text(f"#!/bin/sh\necho \"$*\" >> {calls}\necho '{stderr}' >&2\nexit {code}\n")
    script.chmod(0o755)
    return calls


def changes(kubectl: FakeKubectl) -> list[str]:
    return [call for call in kubectl.calls if " get " not in call]


def refused(capsys: pytest.CaptureFixture[str], code: int, *arguments: str) -> str:
    return failure_at_last(capsys, "uninstall", *arguments, code=code)


def test_everything_goes_in_order(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", *[definitions()] * 3, "")
    kubectl.answers("*clusterroles*", listed(role("mine")))
    kubectl.answers("*get namespaces *", listed({"metadata": {"name": "isthmus-ipsec"}}))
    kubectl.answers("*get namespace *", "")
    kubectl.answers("*get secrets *", "secret/peer-cloud-b\n")
    kubectl.answers(
        "*/networkexpansions",
        *[listed(NETWORK, AWAY, gateway("cloud-c"))] * 2, listed(ending(NETWORK), AWAY, gateway("cloud-c")),
        listed(AWAY, gateway("cloud-c")), listed(forgotten(AWAY), gateway("cloud-c")), listed(gateway("cloud-c")),
        listed(gateway()),
    )  # fmt: skip
    options = ["--yes", "--forget-unreachable", "--delete-keys", "--context", "c", "--as", "a", "--as-group=g"]
    assert main(["uninstall", *options]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "NetworkExpansion shop/web: withdrawing",
        "NetworkExpansion shop/web: withdrawn",
        "CloudPeer cloud-c: forgetting, for it is not reachable",
        "CloudPeer cloud-c: withdrawing",
        "CloudPeer cloud-c: withdrawn",
        "GatewayNode gw-a1: no connection is left",
        "uninstalling Helm release isthmus-system/mine",
    ]
    passed = "--context=c --as=a --as-group=g --request-timeout=30s "
    assert [call.partition("30s ")[2] for call in kubectl.calls if " get " not in call] == [
        "delete networkexpansions.isthmus.cloud web -n shop --ignore-not-found --wait=false",
        "annotate cloudpeers.isthmus.cloud cloud-c --overwrite isthmus.cloud/forget=true",
        "delete cloudpeers.isthmus.cloud cloud-c --ignore-not-found --wait=false",
        f"delete crd {' '.join(DEFINITIONS)} --ignore-not-found --wait=false",
        "delete namespace isthmus-ipsec --ignore-not-found --wait=false",
    ]
    assert all(call.startswith(passed) for call in kubectl.calls)
    where = "--kube-context=c --kube-as-user=a --kube-as-group=g"
    assert calls.read_text() == f"uninstall mine -n isthmus-system --wait --timeout=300s {where}\n"
    assert printed.out.splitlines()[-1] == "Nothing of Isthmus is left in this cluster."
    assert "namespace isthmus-ipsec with 1 Secrets (peer-cloud-b)" in printed.out


def test_keys_are_kept_unless_they_are_named(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    helm(kubectl)
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    kubectl.answers("*get namespaces *", listed({"metadata": {"name": "isthmus-system"}}))
    kubectl.answers("*get secrets *", "")
    assert main(["uninstall", "--yes", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema": "isthmus.cloud/uninstall/v1",
        "removed": ["Helm release isthmus-system/isthmus"],
        "left": [f"kubectl delete crd {' '.join(DEFINITIONS)}", "kubectl delete namespace isthmus-system"],
    }
    assert changes(kubectl) == []


def test_nothing_is_done_without_an_answer(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    kubectl.objects([NETWORK])
    sentence = "nothing was changed: to confirm without a terminal, add --yes"
    for options in ([], ["--delete-keys"], ["--forget-unreachable"]):
        assert refused(capsys, 2, *options) == sentence
    assert (changes(kubectl), calls.exists()) == ([], False)


def test_helm_that_is_missing_or_fails(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    command = "helm uninstall -n isthmus-system isthmus --wait"
    assert main(["uninstall", "--yes", "--delete-keys"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["Left to you, in this order:", f"  {command}", "  kubectl isthmus uninstall"]
    helm(kubectl, 1, "Error: 1 error occurred:\n\t* Isthmus is in use\n")
    assert refused(capsys, 1, "--yes", "--delete-keys") == "helm has not uninstalled isthmus: * Isthmus is in use"
    assert main(["uninstall", "--yes", "--cluster", "other"]) == 0, "Helm has no such option"
    assert command in capsys.readouterr().out
    assert changes(kubectl) == []


def test_native_installation_is_left_to_the_administrator(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role()))
    assert main(["uninstall", "--yes", "--delete-keys"]) == 0
    assert "  kubectl delete -k deploy/" in capsys.readouterr().out
    assert (changes(kubectl), calls.exists()) == ([], False)


def test_cluster_without_isthmus(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*get *", "")
    assert main(["uninstall"]) == 0
    assert capsys.readouterr().out == "Nothing of Isthmus is left in this cluster.\n"


def test_network_that_something_creates_again(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    kubectl.answers("*/networkexpansions", *[listed(NETWORK)] * 2, listed(), listed(NETWORK))
    sentence = refused(capsys, 1, "--yes")
    assert sentence.startswith("NetworkExpansion shop/web was created again after it had been withdrawn")
    assert not calls.exists()


def test_definitions_of_another_version(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*get crd *", definitions("v9"))
    assert "the cluster serves v9: use the plugin of its release" in refused(capsys, 3, "--yes")
    assert changes(kubectl) == []


def test_time_limit(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    kubectl.objects([ending(NETWORK)])
    assert refused(capsys, 1, "--yes", "--timeout", "1").startswith("NetworkExpansion shop/web is still there, and")
    assert not calls.exists()


def test_controller_that_is_away(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.leases([])
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    kubectl.objects([NETWORK, PEER])
    sentence = refused(capsys, 1, "--yes")
    assert sentence.startswith("no controller is active, and without it nothing can be withdrawn: shop/web, cloud-b.")
    assert changes(kubectl) == []


def test_missing_rights(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.answers("*get crd *", definitions())
    kubectl.objects([], forbidden("cloudpeers"), 1)
    assert refused(capsys, 3, "--yes") == "cloudpeers: no right to list them at the cluster scope"
    assert changes(kubectl) == []


@pytest.mark.parametrize("arguments", [["--timeout", "0"], ["--timeout", "x"], ["--release", "other"]])
def test_wrong_usage(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    kubectl.answers("*get crd *", definitions())
    kubectl.answers("*clusterroles*", listed(role("isthmus")))
    assert refused(capsys, 2, "--yes", *arguments)
    assert changes(kubectl) == []


def test_release_is_named_if_the_cluster_does_not(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    calls = helm(kubectl)
    kubectl.answers("*get crd *", "")
    kubectl.answers("*clusterroles*", listed(role()))
    kubectl.answers("*get namespaces *", "")
    assert main(["uninstall", "--yes", "--release", "mine"]) == 0
    capsys.readouterr()
    assert calls.read_text().startswith("uninstall mine -n isthmus-system ")
