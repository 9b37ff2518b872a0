"""`kubectl isthmus` as a command: exit codes, one sentence for each failure, and what it passes to kubectl."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import webbrowser
from functools import partial
from pathlib import Path

import pytest

from isthmus.plugin.core.verbs import VERBS, Verb
from isthmus.plugin.main import main
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl, forbidden

NODE = {"kind": "GatewayNode", "metadata": {"name": "gw-a1"}, "status": {"conditions": []}}
SOURCES = Path(__file__).parents[2] / "operator"
READY = [{"type": "Ready", "status": "True", "reason": "Ready", "message": ""}]
NETWORK = {
    "kind": "NetworkExpansion",
    "metadata": {"name": "web", "namespace": "shop"},
    "status": {"conditions": READY, "networkName": "web \x1b[2J\u202e网络"},
}
PLURALS = ("gatewaynodes", "cloudpeers", "peerlinks", "networkexpansions", "attachments")
READERS = ("status", "peers", "networks", "diagnose")


def failure(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which it fails, as the only output."""
    assert main(arguments) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix("kubectl isthmus: ").strip()


LEASES = "--request-timeout=30s get leases.coordination.k8s.io -n isthmus-system -o json"


def raw(plural: str, place: str = "") -> str:
    return f"--request-timeout=30s get --raw /apis/isthmus.cloud/v1alpha1/{place}{plural}"


def test_status_asks_once_for_each_kind_and_once_for_leases(kubectl: FakeKubectl) -> None:
    assert main(["status"]) == 1  # no controller is active
    assert sorted(kubectl.calls) == sorted([*map(raw, PLURALS), LEASES])
    assert set(kubectl.calls[:2]) == {raw("gatewaynodes"), LEASES}, "the others wait until there is a credential"


def test_failure_is_found_by_the_first_request(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.fails("error: You must be logged in to the server (Unauthorized)")
    assert failure(capsys, "status").startswith("the API server rejects the credential")
    assert sorted(kubectl.calls) == sorted([raw("gatewaynodes"), LEASES])


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
    kubectl.objects([NETWORK])
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


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-verb"],
        ["status", "-o", "yaml"],
        ["explain"],
        ["explain", "NoSuchReason"],
        ["status", "--bogus"],
        ["stat"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(arguments))
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


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
    kubectl.objects([NETWORK], forbidden("attachments"), 1)
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


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], [verb.name for verb in VERBS]),
        (["net"], ["networks"]),
        (["-"], ["--help"]),
        (["networks", "-o", ""], ["text", "json"]),
        (["networks", "-n", ""], []),
        (["networks", "--nam"], ["--namespace"]),
        (["status", "--as"], ["--as", "--as-group"]),
        (["explain", "BFD"], ["BFDDown"]),
        (["explain", "BFDDown", ""], []),
        (["explain", "-o", "text", "BFDDow"], ["BFDDown"]),
        (["restart", ""], ["controller", "agent", "charon"]),
        (["restart", "--yes", "--node", "agent", "c"], ["controller", "charon"]),
        (["restart", "charon", "--yes", ""], []),
        (["restart", "charon", "--n"], ["--node"]),
        (["uninstall", ""], []),
        (["bogus", ""], []),
    ],
)
def test_completion(words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", *words]) == 0
    assert capsys.readouterr().out.splitlines() == [*found, ":4"]


@pytest.mark.parametrize(
    "words",
    [["join", ""], ["accept", "--yes", "cloud"], ["invite", "b", "--ca-file", ""], ["peers", "--kubeconfig", ""]],
)
def test_shell_completes_files(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", *words]) == 0
    assert capsys.readouterr().out == ":0\n"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_completion_has_every_option_of_every_verb(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    main(["__complete", verb.name, "-"])
    completed = set(capsys.readouterr().out.split()) - {":4"}
    with pytest.raises(SystemExit):
        main([verb.name, "--help"])
    assert completed == set(re.findall(r"--[a-z-]+", capsys.readouterr().out.partition("\noptions:")[2]))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_of_every_verb(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb.name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    shown = " ".join(printed.out.split())
    assert shown.startswith(f"usage: kubectl isthmus {verb.name} [-h]")
    assert [text for text in (verb.help, *(option.help for option in verb.options)) if text not in shown] == []


def test_help_lists_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert [verb.name for verb in VERBS if f" {verb.name} {verb.help}" not in shown] == []
    assert "Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage, 3 something could not be read" in shown
    assert main(["completion"]) == 0


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("usage: kubectl isthmus [-h] VERB ...")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stauts"], "there is no verb 'stauts' (did you mean status?); see kubectl isthmus --help"),
        (["x\x1b[2J"], "there is no verb 'x\\x1b[2J'; see kubectl isthmus --help"),
        (["--context", "a", "status"], "the verb comes first, and --context after it; see kubectl isthmus --help"),
        (["revoke"], "the following arguments are required: PEER; see kubectl isthmus revoke --help"),
        (["status", "--bog\x1b[2Jus"], "unrecognized arguments: --bog[2Jus; see kubectl isthmus --help"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"kubectl isthmus: {sentence}\n"


def test_completion_program_is_a_script_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 0
    script = capsys.readouterr().out
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert script.splitlines()[-1] == 'exec kubectl-isthmus __complete "$@"'


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("variable", "is_coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colour_is_for_terminals(variable: dict[str, str], is_coloured: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm"} | variable
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "isthmus.plugin.main", "status"]
    done = subprocess.run(command, stdout=slave, env=environment, check=False)
    os.close(slave)
    printed = os.read(master, 65536)
    os.close(master)
    assert done.returncode == 1
    assert b"NOT ACTIVE" in printed
    assert (b"\x1b[" in printed) == is_coloured
    plain = subprocess.run(command, capture_output=True, env=environment, check=False).stdout
    assert b"NOT ACTIVE" in plain
    assert b"\x1b" not in plain


def test_terminal_that_cannot_show_a_character(kubectl: FakeKubectl) -> None:
    kubectl.objects([NETWORK])
    command = [sys.executable, "-m", "isthmus.plugin.main", "networks"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"web [2J\\u7f51\\u7edc" in done.stdout


def test_reader_that_has_gone_is_no_failure(kubectl: FakeKubectl) -> None:
    kubectl.objects([NETWORK | {"metadata": {"name": f"web-{number}"}} for number in range(3000)])
    command = [sys.executable, "-m", "isthmus.plugin.main", "networks"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_interrupt_ends_it_without_a_traceback(tmp_path: Path) -> None:
    slow = tmp_path / "kubectl"
    slow.write_text("#!/bin/sh\necho started > $0.started\nexec sleep 30\n")
    slow.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    # A background job, as these tests may be one of, ignores the signal, and so would all its children.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "isthmus.plugin.main", "peers"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, start_new_session=True) as process:
        while not slow.with_suffix(".started").exists():
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 130


@pytest.mark.usefixtures("kubectl")
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--port", "8080"), "--port and --no-browser are for --serve"),
        (("--serve", "-o", "json"), "--output is not for --serve"),
        (("--no-browser",), "--port and --no-browser are for --serve"),
        (("--serve", "--port", "80"), "--port must be a number from 1024 to 65535, not '80'"),
        (
            ("--serve", "--port", "٨٠٨٠"),
            "--port must be a number from 1024 to 65535, not '\\u0668\\u0660\\u0668\\u0660'",
        ),
    ],
)
def test_options_of_the_page_are_checked(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert main(["topology", *arguments]) == 2
    assert capsys.readouterr().err == f"kubectl isthmus: {sentence}\n"


def test_a_page_needs_a_free_port_and_a_cluster(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["topology", "--serve", "--no-browser", "--port", port]) == 2
        assert f"cannot listen on port {port} of 127.0.0.1: Address already in use" in capsys.readouterr().err
    kubectl.fails("Unable to connect to the server: dial tcp: i/o timeout")
    assert failure(capsys, "topology", "--serve").startswith("the API server does not answer")


@pytest.mark.usefixtures("kubectl")
def test_the_browser_gets_the_token_in_a_file_of_the_user_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On its command line every user of the computer would see it."""
    seen: list[str] = []

    def opens(address: str) -> bool:
        path = Path(address.removeprefix("file://"))
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        seen.extend([address, path.read_text()])
        raise KeyboardInterrupt

    monkeypatch.setattr(webbrowser, "open", opens)
    monkeypatch.setenv("DISPLAY", ":0")
    assert main(["topology", "--serve"]) == 0
    address = capsys.readouterr().out.splitlines()[0]
    assert address.partition("#")[2] not in seen[0]
    assert f'content="0; url={address}"' in seen[1]
    assert not Path(seen[0].removeprefix("file://")).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_every_usual_signal_ends_the_page_and_its_file(kubectl: FakeKubectl, tmp_path: Path, number: int) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {"PATH": f"{kubectl.path}:/usr/bin:/bin", "PYTHONPATH": str(SOURCES), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "isthmus.plugin.main", "topology", "--serve", "--no-browser"]
    usual = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell has its background jobs ignore it
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, preexec_fn=usual) as page:
        assert page.stdout is not None
        assert page.stdout.readline().startswith("http://127.0.0.1:")
        assert list(temporary.iterdir())
        page.send_signal(number)
        printed, _ = page.communicate(timeout=30)
    assert (page.returncode, printed.splitlines()[-1]) == (0, "The page has ended.")
    assert list(temporary.iterdir()) == []
