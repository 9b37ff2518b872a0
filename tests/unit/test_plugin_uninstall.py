"""`kubectl isthmus uninstall` without a cluster: the order in which things go, and why they do not go."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.plugin import uninstall
from isthmus.plugin.core.leases import leases
from isthmus.plugin.core.refusals import Misused
from isthmus.plugin.core.removal.installation import DEFINITIONS, Installation
from isthmus.plugin.core.removal.left import Left, Stage, left
from isthmus.plugin.core.removal.steps import Delete, Forget, hanging, steps, summary
from isthmus.plugin.main import main
from tests.fakes.kubectl import FakeKubectl, documents, forbidden, lease, listed, stretched

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE = leases([lease("isthmus-controller", NOW.isoformat())], NOW)
FINALIZER = "isthmus.cloud/withdraw"

Document = dict[str, Any]


def item(kind: str, name: str, namespace: str = "", *, ending: bool = False, **more: Any) -> Document:
    metadata: Document = {"name": name, "finalizers": more.pop("finalizers", [FINALIZER])}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"deletionTimestamp": "2026-01-01T00:00:00Z"} if ending else {}
    conditions = [
        {"type": type_, "status": status, "reason": "R", "message": message}
        for type_, status, message in more.pop("conditions", [])
    ]
    status = {"conditions": conditions} | more.pop("status", {})
    return {"kind": kind, "metadata": metadata | more.pop("metadata", {}), "status": status, **more}


NETWORK = item("NetworkExpansion", "web", "shop")
PEER = item("CloudPeer", "cloud-b", conditions=[("Ready", "True", "")])
AWAY = item("CloudPeer", "cloud-c", conditions=[("Ready", "False", "no answer"), ("Reachable", "False", "no answer")])
ATTACHMENT = item("Attachment", "cloud-b.n1", "isthmus-system", spec={"role": "Receiver"}, finalizers=[])


def gateway(*peers: str) -> Document:
    status = {"connections": [{"cloudID": peer, "gateway": "gw"} for peer in peers]}
    return item("GatewayNode", "gw-a1", status=status, finalizers=[])


def ending(document: Document) -> Document:
    """The same object after its deletion."""
    metadata = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
    return document | {"metadata": document["metadata"] | metadata}


def forgotten(document: Document) -> Document:
    """The same object after its deletion, with the annotation."""
    metadata = ending(document)["metadata"] | {"annotations": {"isthmus.cloud/forget": "true"}}
    return document | {"metadata": metadata}


def test_order() -> None:
    """Networks, then peers, then what the controller and the agents remove by themselves."""
    everything = [NETWORK, PEER, ATTACHMENT, gateway("cloud-b")]
    stages = [left(everything[number:]).stage for number in range(5)]
    assert stages == [Stage.NETWORKS, Stage.PEERS, Stage.REST, Stage.REST, Stage.NOTHING]
    assert left([gateway()]).stage is Stage.NOTHING, "a gateway node without connections is not in use"
    assert steps(left(everything), forget_unreachable=True) == [Delete("NetworkExpansion", "shop", ("web",))]
    assert steps(left(everything[1:]), forget_unreachable=True) == [Delete("CloudPeer", "", ("cloud-b",))]
    assert steps(left(everything[2:]), forget_unreachable=True) == []


def test_what_is_being_deleted_is_not_deleted_again() -> None:
    assert steps(left([ending(NETWORK), PEER]), forget_unreachable=False) == []
    other = item("NetworkExpansion", "new", "shop")
    assert steps(left([ending(NETWORK), other]), forget_unreachable=False) == [
        Delete("NetworkExpansion", "shop", ("new",))
    ]


def test_many_networks_are_deleted_in_parts() -> None:
    many = [item("NetworkExpansion", f"n{number}", f"ns{number % 2}") for number in range(250)]
    found = steps(left(many), forget_unreachable=False)
    assert [(step.namespace, len(step.names)) for step in found if isinstance(step, Delete)] == [
        ("ns0", 100), ("ns0", 25), ("ns1", 100), ("ns1", 25),
    ]  # fmt: skip


def test_only_unreachable_peers_are_forgotten_and_only_if_wanted() -> None:
    deleted = Delete("CloudPeer", "", ("cloud-b", "cloud-c"))
    assert steps(left([PEER, AWAY]), forget_unreachable=False) == [deleted]
    assert steps(left([PEER, AWAY]), forget_unreachable=True) == [Forget("cloud-c"), deleted]
    assert steps(left([PEER, ending(AWAY)]), forget_unreachable=True)[0] == Forget("cloud-c"), "an interrupted run"
    assert steps(left([forgotten(AWAY)]), forget_unreachable=True) == []


@pytest.mark.parametrize(
    ("items", "processes", "parts"),
    [
        (
            [item("NetworkExpansion", "web", "shop", conditions=[("Ready", "False", "OpenStack does not answer")])],
            ACTIVE,
            [
                "NetworkExpansion shop/web is still there",
                "60 s: OpenStack does not answer",
                f"finalizer is {FINALIZER}",
            ],
        ),
        ([NETWORK], {}, ["the controller has not reported why", "no controller is active"]),
        (
            [item("NetworkExpansion", "web", "shop", finalizers=["example.org/x"])],
            ACTIVE,
            ["finalizers that are not of Isthmus: example.org/x"],
        ),
        (
            [PEER, ending(AWAY)],
            ACTIVE,
            ["CloudPeer cloud-c (and 1 more)", "no answer", "gone for good: kubectl isthmus forget cloud-c"],
        ),
        (
            [
                PEER,
                item("Attachment", "x.y", "isthmus-system", conditions=[("Ready", "False", "replica in use by p1")]),
            ],
            ACTIVE,
            ["CloudPeer cloud-b is still there", "Attachment isthmus-system/x.y: replica in use by p1"],
        ),
        (
            [gateway("cloud-b", "cloud-b")],
            ACTIVE,
            [
                "GatewayNode gw-a1",
                "it has connections to cloud-b",
                "its agent does not run",
                "gw-a1 isthmus.cloud/gateway-",
            ],
        ),
    ],
)
def test_object_that_hangs_is_named_with_its_reason(items: list[Document], processes: Any, parts: list[str]) -> None:
    sentence = str(hanging(left(items), processes, 60))
    assert [part for part in parts if part not in sentence] == []
    assert "\n" not in sentence
    assert sentence.endswith("run the command again to go on")


def test_summary_shows_what_goes() -> None:
    found = left([NETWORK, PEER, AWAY, ATTACHMENT])
    lines = summary("cloud-a", found, "Helm release isthmus-system/isthmus", forget_unreachable=False)
    assert lines == [
        "Isthmus is removed from cloud-a:",
        "  networks      shop/web",
        "  replicas      1 of peers' networks, each when no machine is left on it",
        "  peers         cloud-b, cloud-c (not reachable: will be waited for)",
        "  installation  Helm release isthmus-system/isthmus",
        "Machines on both sides lose the connection.",
    ]
    many = left([item("NetworkExpansion", f"n{number}", "shop") for number in range(12)])
    assert summary("", many, "", forget_unreachable=True)[1].endswith("shop/n9 and 2 more")
    assert summary("", Left(), "none", forget_unreachable=True)[-1] == "  installation  none"


def test_objects_of_a_real_controller_are_understood() -> None:
    found = left(documents(stretched().clouds[0]))
    assert [each.label for each in found.expansions] == ["NetworkExpansion shop/web"]
    assert [each.label for each in found.peers] == ["CloudPeer cloud-b"]
    assert {each.kind for each in found.rest} == {"Attachment", "PeerLink", "GatewayNode"}


def role(release: str = "", namespace: str = "isthmus-system") -> Document:
    annotations = {"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": namespace}
    return {"metadata": {"name": "isthmus-agent", "annotations": annotations if release else {}}}


def test_installation_is_recognised() -> None:
    assert Installation.parse([role("mine")], None) == Installation("mine")
    assert Installation.parse([role("mine")], "mine") == Installation("mine")
    assert Installation.parse([role()], None) == Installation(is_native=True)
    assert Installation.parse([role()], "other") == Installation("other")
    assert Installation.parse([], "other").is_absent
    with pytest.raises(Misused, match="the release is mine, and not other"):
        Installation.parse([role("mine")], "other")


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
    assert main(["uninstall", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1].removeprefix("kubectl isthmus: ")


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
