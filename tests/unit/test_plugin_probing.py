"""`kubectl isthmus verify` and `bench` without a cluster: where probes are sent, and what is said of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.names import link_name
from isthmus.plugin.main import main
from tests.fakes.kubectl import FakeKubectl, documents, forbidden, listed, stretched
from tests.fakes.topologies import leases, many

NETWORK = "face0000-0000-0000-0000-000000000004"
LINK = link_name("cloud-a", NETWORK)


def pod(node: str = "gw-cloud-a", *, ready: bool = True) -> dict[str, Any]:
    status = {"conditions": [{"type": "Ready", "status": str(ready)}]}
    metadata = {"name": f"isthmus-agent-{node}", "uid": "u"}
    return {"kind": "Pod", "metadata": metadata, "spec": {"nodeName": node}, "status": status}


def report(full: int = 20, short: int = 20, largest: int | None = 1416, peer: str = "cloud-b", **more: Any) -> str:
    """What is printed after so many short frames and frames of full size came back."""
    series = [(46, 20, short), (1416, 20, full)]
    document = {
        "schema": "isthmus.cloud/probe/v1",
        "link": LINK,
        "peer": peer,
        "mtu": 1416,
        "framesPerSecond": 20,
        "series": [{"bytes": b, "sent": sent, "rttSeconds": [0.0021] * back} for b, sent, back in series],
        "largestBytes": largest,
    }
    return json.dumps(document | more)


@pytest.fixture
def kubectl(kubectl: FakeKubectl) -> FakeKubectl:
    kubectl.objects(documents(stretched().clouds[0]))
    kubectl.leases(leases())
    return kubectl


def in_pods(kubectl: FakeKubectl, *printed: str, pods: tuple[dict[str, Any], ...] = (pod(),), **failure: Any) -> None:
    """The agents run in pods, in which commands print that."""
    kubectl.answers("*get pods*", listed(*pods))
    kubectl.answers("* exec *", *printed, **failure)


def test_frames_that_all_come_back_are_well(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    in_pods(kubectl, report())
    assert main(["verify", "web", "--count", "20"]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "shop/web to cloud-b, from gw-cloud-a, MTU 1416 bytes:",
        "BYTES  SENT  BACK  LOST  MIN      P50      P95      P99      MAX",
        "46     20    20    0     2.10 ms  2.10 ms  2.10 ms  2.10 ms  2.10 ms",
        "1416   20    20    0     2.10 ms  2.10 ms  2.10 ms  2.10 ms  2.10 ms",
        "All frames came back, at 20 a second; the largest is the network's whole MTU.",
        "",
    ]
    assert printed.err == "shop/web to cloud-b: sending from gw-cloud-a\n"
    (call,) = [call for call in kubectl.calls if " exec " in call]
    assert call.endswith(
        " exec -n isthmus-gateway isthmus-agent-gw-cloud-a -c agent --request-timeout=0 -- /usr/bin/python3 -P -m "
        f"isthmus.cli.main probe {LINK} cloud-b --mtu 1416 --count 20"
    )


@pytest.mark.parametrize("verb", ["verify", "bench"])
def test_nothing_but_get_and_exec_is_called(kubectl: FakeKubectl, verb: str) -> None:
    in_pods(kubectl, report())
    assert main([verb, "web"]) == 0
    assert {re.findall(r"(?:^| )(get|exec|apply|patch|create|delete) ", call)[0] for call in kubectl.calls} == {
        "get",
        "exec",
    }


@pytest.mark.parametrize(
    ("printed", "problem"),
    [
        (report(full=19), "1 of 20 frames of 1416 bytes were lost."),
        (
            report(full=0, largest=1390),
            "Frames as long as the network's MTU, 1416 bytes, do not come back; those of up to 1390 bytes do.",
        ),
        (report(full=0, short=0, largest=None), "No frame came back: kubectl isthmus diagnose"),
        (report(series=[{"bytes": 1416, "sent": 0, "rttSeconds": []}]), "No frame could be sent: the probe port's"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], printed: str, problem: str
) -> None:
    in_pods(kubectl, printed, printed)
    assert main(["verify", NETWORK]) == 1
    assert problem in capsys.readouterr().out
    assert main(["verify", NETWORK, "-o", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "isthmus.cloud/verify/v1"
    assert document["links"][0]["problems"][0].startswith(problem)


def test_bench_says_what_it_cannot_measure(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    counters = {"sent": {"packets": 10_000, "bytes": 12_500_000}, "received": {"packets": 10, "bytes": 600}}
    full = {"bytes": 1416, "sent": 500, "rttSeconds": [0.002] * 500}
    in_pods(kubectl, report(series=[full], framesPerSecond=50, counters=counters, counterSeconds=10.02))
    assert main(["bench", "web"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "machines, sent to the peer: 10.0 Mbit/s, 998 packets/s in 10 s" in lines
    assert "machines, received from it: 0.5 kbit/s, 1 packets/s in 10 s" in lines
    assert "Not measured: how much the path can carry" in "\n".join(lines)
    (call,) = [call for call in kubectl.calls if " exec " in call]
    assert call.endswith("--mtu 1416 --seconds 10")


def test_every_link_of_a_network_or_the_one_to_a_peer(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects(many(3, 2))
    in_pods(kubectl, report())
    assert main(["verify", "shop/web-0", "-o", "json"]) == 0
    assert [link["peer"] for link in json.loads(capsys.readouterr().out)["links"]] == ["peer-00", "peer-01", "peer-02"]
    assert main(["verify", "web 0", "--peer", "peer-01", "-o", "json"]) == 0
    assert [link["peer"] for link in json.loads(capsys.readouterr().out)["links"]] == ["peer-01"]


def test_a_replica_is_named_by_its_id(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects(documents(stretched().clouds[1]))
    in_pods(kubectl, report(peer="cloud-a"), pods=(pod("gw-cloud-b"),))
    assert main(["verify", NETWORK]) == 0
    assert f"{NETWORK} to cloud-a, from gw-cloud-b" in capsys.readouterr().out
    assert f"probe {LINK} cloud-a --mtu 1416" in kubectl.calls[-1]


@pytest.mark.parametrize("pods", [(), (pod("other"),), (pod(ready=False),)])
def test_without_a_pod_the_command_for_the_node_is_named(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path, pods: tuple[dict[str, Any], ...]
) -> None:
    in_pods(kubectl, pods=pods)
    assert main(["verify", "web", "--count", "5"]) == 3
    printed = " ".join(capsys.readouterr().out.split())
    assert "no agent runs in a pod on gw-cloud-a. Run this there, as root, and give the file" in printed
    assert f" isthmus probe {LINK} cloud-b --mtu 1416 --count 5 > report.json" in printed
    (tmp_path / "report.json").write_text(report())
    assert main(["verify", "web", "--report", str(tmp_path / "report.json")]) == 0
    assert "All frames came back" in capsys.readouterr().out
    (tmp_path / "report.json").write_text(report(peer="cloud-c"))
    assert main(["verify", "web", "--report", str(tmp_path / "report.json")]) == 3
    assert "not measured: no --report is of this link" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stderr", "cause"),
    [
        (
            "isthmus: dataplane probe through isprobe: [Errno 19] No such device\ncommand terminated with exit code 1",
            "dataplane probe through isprobe: [Errno 19] No such device",
        ),
        (
            "usage: isthmus [-h]\nisthmus: error: argument command: invalid choice: 'probe' (choose from 'agent')\n"
            "command terminated with exit code 2",
            "the agent's release has no command probe: kubectl isthmus version",
        ),
        (
            'Error from server (Forbidden): pods "isthmus-agent-gw-cloud-a" is forbidden: User "somebody" cannot '
            'create resource "pods/exec" in API group "" in the namespace "isthmus-gateway"',
            'no right to create pods/exec in the namespace "isthmus-gateway"',
        ),
    ],
)
def test_why_nothing_was_measured(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], stderr: str, cause: str
) -> None:
    in_pods(kubectl, "", stderr=stderr, code=1)
    assert main(["verify", "web", "-o", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["links"][0]["error"] == cause


def test_something_else_than_a_report_is_a_sentence(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    in_pods(kubectl, "\x1b[2J{}")
    assert main(["verify", "web"]) == 3
    assert "not measured: this is not what isthmus probe prints" in capsys.readouterr().out
    (tmp_path / "x").write_text("{}")
    assert main(["verify", "web", "--report", str(tmp_path / "x")]) == 2
    assert "x: this is not what isthmus probe prints" in capsys.readouterr().err


def test_mistakes_are_sentences(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, sentence in (
        (("verify", "nope\x1b"), 2, "there is no stretched network 'nope' among what can be read"),
        (("verify", "web", "--peer", "cloud-z"), 2, "network 'web' has no link to a peer 'cloud-z'"),
        (("verify", "web", "--count", "0"), 2, "--count must be a whole number from 1 to 200"),
        (("bench", "web", "--seconds", "61"), 2, "--seconds must be a whole number from 1 to 60"),
    ):
        assert main(arguments) == code
        assert capsys.readouterr().err == f"kubectl isthmus: {sentence}\n"
    assert not any(" exec " in call for call in kubectl.calls)


def test_a_network_that_is_not_connected_yet_is_wrong(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    items = documents(stretched().clouds[0])
    kubectl.objects([item for item in items if item["kind"] != "Attachment"])
    assert main(["verify", "web"]) == 1
    assert "network 'web' is not connected to any peer yet" in capsys.readouterr().err
    for item in items:
        if item["kind"] == "Attachment":
            del item["spec"]["activeNode"]
    kubectl.objects(items)
    assert main(["verify", "web"]) == 1
    assert "network shop/web has no gateway node, or no agreed MTU, yet" in capsys.readouterr().err


def test_attachments_must_be_readable(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    items = [item for item in documents(stretched().clouds[0]) if item["kind"] != "Attachment"]
    kubectl.objects(items, forbidden("attachments"), 1)
    assert main(["verify", "web"]) == 3
    assert capsys.readouterr().err == "kubectl isthmus: attachments: no right to list them at the cluster scope\n"
