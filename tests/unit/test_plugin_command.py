"""`kubectl isthmus` as a command: exit codes, one sentence for each failure, and what it passes to kubectl."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from isthmus.plugin.kubectl import Kubectl
from isthmus.plugin.main import main
from tests.fakes.failures import failure
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl, forbidden
from tests.fakes.topologies import HOSTILE_NETWORK

NODE = {"kind": "GatewayNode", "metadata": {"name": "gw-a1"}, "status": {"conditions": []}}
PLURALS = ("gatewaynodes", "cloudpeers", "peerlinks", "networkexpansions", "attachments")
READERS = ("status", "peers", "networks", "diagnose")
LEASES = "--request-timeout=30s get leases.coordination.k8s.io -n isthmus-system -o json"


def raw(plural: str, place: str = "") -> str:
    return f"--request-timeout=30s get --raw /apis/isthmus.cloud/v1alpha1/{place}{plural}"


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Each start of kubectl, and whether the first one had ended by then.

    Processes that run at the same time write their calls in any order, and a failure is reported before all have
    done so.
    """
    begun: list[tuple[str, bool]] = []
    processes: list[subprocess.Popen[str]] = []
    start = Kubectl.start

    def recorded(self: Kubectl, arguments: Sequence[str], *, stdin: int | None = None) -> subprocess.Popen[str]:
        begun.append((" ".join(arguments), bool(processes) and processes[0].returncode is not None))
        processes.append(start(self, arguments, stdin=stdin))
        return processes[-1]

    monkeypatch.setattr(Kubectl, "start", recorded)
    return begun


def started(call: str, *, later: bool) -> tuple[str, bool]:
    return call.removeprefix("--request-timeout=30s "), later


def test_status_asks_once_for_each_kind_and_once_for_leases(
    kubectl: FakeKubectl, starts: list[tuple[str, bool]]
) -> None:
    assert main(["status"]) == 1  # no controller is active
    assert sorted(kubectl.calls) == sorted([*map(raw, PLURALS), LEASES])
    first, *others = PLURALS
    at_once = [started(raw(first), later=False), started(LEASES, later=False)]
    assert starts[:2] == at_once
    assert starts[2:] == [started(raw(plural), later=True) for plural in others], "they wait for a credential"


def test_failure_is_found_by_the_first_request(
    kubectl: FakeKubectl, starts: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.fails("error: You must be logged in to the server (Unauthorized)")
    assert failure(capsys, "status").startswith("the API server rejects the credential")
    assert starts == [started(raw("gatewaynodes"), later=False), started(LEASES, later=False)]


def test_options_are_passed_to_kubectl(kubectl: FakeKubectl) -> None:
    options = ["--context", "other", "--kubeconfig=/k", "--as", "a b", "--as-group", "g", "--as-group", "h"]
    assert main(["networks", "-n", "shop", *options, "--request-timeout=5s"]) == 0
    assert kubectl.calls == [
        "--kubeconfig=/k --context=other --as=a b --as-group=g --as-group=h --request-timeout=5s "
        "get --raw /apis/isthmus.cloud/v1alpha1/namespaces/shop/networkexpansions"
    ]


def test_namespace_cannot_be_another_path(kubectl: FakeKubectl) -> None:
    main(["networks", "-n", "../../v1/secrets?"])
    assert kubectl.calls == [raw("networkexpansions", "namespaces/..%2F..%2Fv1%2Fsecrets%3F/")]


def test_json_is_one_object_without_control_characters(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.objects([HOSTILE_NETWORK])
    assert main(["networks", "-o", "json"]) == 0
    printed = capsys.readouterr().out
    assert printed.isascii()
    document = json.loads(printed)
    assert document["schema"] == "isthmus.cloud/networks/v1"
    assert document["networks"][0]["networkName"] == "web [2J网络"


def test_diagnose_reads_what_status_reads_and_one_namespace_apart(kubectl: FakeKubectl) -> None:
    assert main(["diagnose"]) == 1  # no controller is active
    assert sorted(kubectl.calls) == sorted([*map(raw, PLURALS), LEASES])
    assert main(["diagnose", "-n", "shop"]) == 1
    elsewhere = [raw(plural) for plural in PLURALS if plural != "networkexpansions"]
    of_shop = raw("networkexpansions", "namespaces/shop/")
    assert sorted(kubectl.calls[len(PLURALS) + 1 :]) == sorted([*elsewhere, of_shop, LEASES])


def test_diagnose_of_something_unknown_is_wrong_usage(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([NODE])
    assert main(["diagnose", "nope\x1b[2J"]) == 2
    printed = capsys.readouterr()
    sentence = "kubectl isthmus: there is no peer and no stretched network 'nope[2J' among what can be read\n"
    assert (printed.out, printed.err) == ("", sentence)


def test_diagnose_of_something_that_may_be_hidden_is_no_wrong_usage(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]
) -> None:
    kubectl.objects([NODE], forbidden("cloudpeers"), 1)
    assert failure(capsys, "diagnose", "cloud-b") == (
        "there is no peer and no stretched network 'cloud-b' among what can be read: "
        "cloudpeers: no right to list them at the cluster scope"
    )


def test_diagnose_without_any_right(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([], "\n".join(map(forbidden, PLURALS)), 1)
    kubectl.leases([], forbidden("leases", "coordination.k8s.io", 'in the namespace "isthmus-system"'), 1)
    sentence = failure(capsys, "diagnose")
    assert sentence.startswith(f"{', '.join(PLURALS)}: no right to list them at the cluster scope; leases: ")
    assert sentence.endswith("; if you have rights in one namespace, name it: -n NAMESPACE")


def test_diagnose_as_json(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([NODE])
    assert main(["diagnose", "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "isthmus.cloud/diagnose/v1"
    (subject,) = document["subjects"]
    assert [fault["code"] for fault in subject["faults"]] == ["ControllerNotActive", "AgentNotRunning"]
    assert subject["faults"][0]["anchor"] == "docs/troubleshooting.md#controllernotactive"


def test_problem_is_exit_code_1(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([NODE])
    assert main(["status", "-o", "json"]) == 1
    assert [each["name"] for each in json.loads(capsys.readouterr().out)["problems"]] == [
        "isthmus-controller",
        "isthmus-agent-gw-a1",
        "gw-a1",
    ]


@pytest.mark.parametrize("verb", [*READERS, "version", "gather", "uninstall"])
@pytest.mark.parametrize(
    ("stderr", "sentence"),
    [
        (
            "Error in configuration: context was not found for specified context: nope",
            "the kubeconfig has no context 'nope'; list them with: kubectl config get-contexts",
        ),
        (
            "error: You must be logged in to the server (Unauthorized)",
            "the API server rejects the credential: error: You must be logged in to the server (Unauthorized)",
        ),
        (
            "E1126 16:45:00.1 1 memcache.go:265] no\n"
            "The connection to the server 192.0.2.1:6443 was refused - did you specify the right host or port?",
            "the API server does not answer: The connection to the server 192.0.2.1:6443 was refused - "
            "did you specify the right host or port?",
        ),
        ("error: \x1b[31msomething\u202e else", "kubectl failed: error: [31msomething else"),
        (
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
            "there is no kubeconfig: set KUBECONFIG or --kubeconfig",
        ),
        (
            'error: no server found for cluster "nope"',
            "the kubeconfig has no cluster 'nope'; list them with: kubectl config get-clusters",
        ),
        (
            'error: auth info "nope" does not exist',
            "the kubeconfig has no user 'nope'; list them with: kubectl config get-users",
        ),
        (
            "error: stat /none: no such file or directory",
            "the kubeconfig /none cannot be read: no such file or directory",
        ),
        (
            'error: error loading config file "/k": yaml: line 2: mapping values are not allowed in this context',
            "the kubeconfig /k cannot be read: yaml: line 2: mapping values are not allowed in this context",
        ),
        ("", "kubectl failed: no message"),
    ],
)
def test_failures_of_kubectl_are_sentences(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str, stderr: str, sentence: str
) -> None:
    kubectl.fails(stderr)
    assert failure(capsys, verb) == sentence


@pytest.mark.parametrize("verb", READERS)
def test_cluster_without_isthmus(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails(MISSING_KIND)
    kubectl.group([])
    assert failure(capsys, verb).startswith("Isthmus is not installed in this cluster")


@pytest.mark.parametrize("verb", READERS)
def test_definitions_of_another_version(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.fails(MISSING_KIND)
    kubectl.group(["v1", "v1beta1"])
    assert "the cluster serves v1, v1beta1" in failure(capsys, verb)
    kubectl.group(["v1alpha1"])
    assert "not all definitions" in failure(capsys, verb)


@pytest.mark.parametrize("verb", READERS)
def test_kubectl_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert failure(capsys, verb).startswith("kubectl was not found in any directory of PATH")
    broken = tmp_path / "kubectl"
    broken.write_text("not a program")
    broken.chmod(0o755)
    assert failure(capsys, verb) == "kubectl cannot be run: Exec format error"


@pytest.mark.parametrize("verb", READERS)
def test_something_else_than_json(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    kubectl.prints("No resources found")
    assert failure(capsys, verb) == "kubectl printed something else than JSON"


def test_what_may_be_read_is_shown(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([HOSTILE_NETWORK], forbidden("attachments"), 1)
    assert main(["networks"]) == 3
    printed = capsys.readouterr().out
    assert "web [2J网络" in printed
    assert "not read: attachments: no right to list them at the cluster scope" in printed


def test_without_any_right(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([], "\n".join(map(forbidden, PLURALS)), 1)
    scope = 'in the namespace "isthmus-system"'
    kubectl.leases([], forbidden("leases", "coordination.k8s.io", scope), 1)
    assert failure(capsys, "status") == (
        f"{', '.join(PLURALS)}: no right to list them at the cluster scope; "
        "with rights in one namespace: kubectl isthmus networks -n NAMESPACE"
    )
    assert failure(capsys, "networks").endswith("if you have rights in one namespace, name it: -n NAMESPACE")
    assert failure(capsys, "networks", "-n", "shop").startswith("networkexpansions: no right")
    assert failure(capsys, "peers") == "cloudpeers: no right to list them at the cluster scope"


def test_explain_and_client_version_need_no_cluster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["explain", "bfddown"]) == 0
    assert main(["version", "--client"]) == 0
    assert "docs/conditions.md#bfddown" in capsys.readouterr().out
