"""`kubectl isthmus gather` without a cluster: what it asks for, what it writes, and when it writes nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from isthmus.plugin.core.gather import sources
from isthmus.plugin.core.gather.cleaning import cleaned
from isthmus.plugin.core.gather.content import log, objects, within
from isthmus.plugin.main import main
from tests.fakes.kubectl import MISSING_KIND, FakeKubectl, documents, forbidden, lease, listed, stretched
from tests.gathered import texts

CANARY = "canary-5f0c2d7a9b"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
# Everything that may be asked for: whoever adds to it must know what is in it.
KINDS = {
    *(f"{plural}.v1alpha1.isthmus.cloud" for plural in sources.KINDS),
    "leases.coordination.k8s.io", "events", "pods", "deployments.apps", "daemonsets.apps", "jobs.batch", "configmaps",
    "nodes", "namespaces", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
    "customresourcedefinitions",
}  # fmt: skip
POD: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "isthmus-agent-x", "namespace": "isthmus-gateway"},
    "spec": {
        "containers": [
            {
                "name": "agent",
                "env": [{"name": "ISTHMUS_NODE_NAME", "value": "gw-a1"}, {"name": "OS_PASSWORD", "value": CANARY}],
            }
        ]
    },
    "status": {"containerStatuses": [{"name": "agent", "restartCount": 1}]},
}


@pytest.fixture
def kubectl(kubectl: FakeKubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    monkeypatch.chdir(tmp_path)
    return kubectl


@pytest.fixture
def filled(kubectl: FakeKubectl) -> FakeKubectl:
    """Isthmus runs in pods of this cluster, and has stretched a network."""
    kubectl.answers("* version -o json", '{"serverVersion": {"gitVersion": "v1.36.2"}}')
    kubectl.answers("* logs *", f"time one\ntime psk={CANARY}\n")
    kubectl.answers("*,deployments.apps,* -n isthmus-gateway *", listed(POD))
    kubectl.answers("*.v1alpha1.isthmus.cloud *", listed(*documents(stretched().clouds[0])))
    kubectl.leases([lease("isthmus-controller", "2026-01-01T00:00:00Z")])
    return kubectl


def test_asks_for_no_secret(filled: FakeKubectl) -> None:
    assert main(["gather", "--out", "a.tar.gz"]) == 0
    assert len(filled.calls) > 15
    for call in filled.calls:
        options, verb, *words = call.split()
        assert (options, verb in {"get", "logs", "version"}) == ("--request-timeout=30s", True)
        assert "secret" not in call.lower()
        assert not {"--raw", "-f", "--filename", "-k"} & set(words)
        if verb == "get":
            assert set(words[0].split(",")) <= KINDS
    of_settings = [call for call in filled.calls if "configmaps" in call]
    names = [re.findall(r"--field-selector=metadata.name=(\S+)", call) for call in of_settings]
    assert names == [["isthmus-controller"], ["isthmus-agent"]], "ConfigMaps of ours only"


def test_archive(filled: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gather", "--out", "a.tar.gz", "--since", "24h"]) == 0
    assert oct(Path("a.tar.gz").stat().st_mode) == "0o100600"
    found = texts(Path("a.tar.gz"))
    assert list(found)[:5] == ["contents.txt", "status.txt", "status.json", "diagnose.txt", "diagnose.json"]
    assert {f"objects/{plural}.json" for plural in sources.KINDS} <= set(found)
    assert found["logs/isthmus-gateway/isthmus-agent-x/agent.log"] == "time one\ntime psk=[redacted]\n"
    assert "logs/isthmus-gateway/isthmus-agent-x/agent.previous.log" in found
    assert json.loads(found["objects/cloudpeers.json"])["kind"] == "List"
    assert json.loads(found["status.json"])["cloudID"] == "cloud-a"
    assert json.loads(found["versions.json"])["serverVersion"] == {"gitVersion": "v1.36.2"}
    assert CANARY not in str(found)
    printed = capsys.readouterr().out
    assert "without any Secret" in printed
    listed_files = {name: int(size) for size, name in re.findall(r"^ *(\d+)  (\S+)$", printed, re.MULTILINE)}
    assert listed_files == {name: len(text.encode()) for name, text in found.items() if name != "contents.txt"}
    assert [line for line in printed.splitlines()[:-1] if line not in found["contents.txt"]] == []
    calls = [call for call in filled.calls if " logs " in call]
    assert [("--since=24h" in call, "--previous" in call) for call in calls] == [(True, False), (False, True)]


def test_answer_as_json(filled: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert filled.calls == []
    assert main(["gather", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "isthmus.cloud/gather/v1"
    assert re.fullmatch(r"isthmus-\d{8}T\d{6}Z\.tar\.gz", document["file"])
    assert Path(document["file"]).stat().st_size == document["bytes"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "there"], "there exists already: remove it, or choose another name"),
        (["--out", "link"], "link exists already"),
        (["--out", "absent/a.tar.gz"], "cannot create absent/a.tar.gz"),
        *((["--since", text], "--since must be a number with a unit") for text in ("", "1", "1d", "0h", "1h;")),
    ],
)
def test_wrong_usage(
    filled: FakeKubectl, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    Path("there").write_text("mine")
    Path("link").symlink_to("nowhere")
    assert main(["gather", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith(f"kubectl isthmus: {sentence}")
    assert (Path("there").read_text(), filled.calls) == ("mine", [])


def test_partial_rights_give_a_partial_archive(kubectl: FakeKubectl) -> None:
    kubectl.answers("* version *", "{}")
    kubectl.answers("* logs *", stderr=_forbidden("get", "pods/log"), code=1)
    kubectl.answers("* nodes *", listed(), stderr=forbidden("nodes", "", "at the cluster scope"), code=1)
    kubectl.answers("*,deployments.apps,* -n isthmus-gateway *", listed(POD))
    kubectl.answers("*portslices.v1alpha1*", stderr=MISSING_KIND, code=1)
    assert main(["gather", "--out", "a.tar.gz"]) == 3
    contents = texts(Path("a.tar.gz"))["contents.txt"].splitlines()
    gaps = [line for line in contents if line.startswith("not read: ")]
    assert [gap.split(": ")[1] for gap in gaps] == [
        "portslices",
        "cluster/nodes",
        "logs/isthmus-gateway/isthmus-agent-x/agent.log",
        "logs/isthmus-gateway/isthmus-agent-x/agent.previous.log",
    ]
    assert 'no right to get pods/log in the namespace "isthmus-gateway"' in gaps[2]
    assert "not all definitions" in gaps[0]


def test_cluster_without_pods_of_ours(kubectl: FakeKubectl) -> None:
    kubectl.answers("* version *", "{}")
    assert main(["gather", "--out", "a.tar.gz"]) == 0
    assert "no pods run here: add the logs of" in texts(Path("a.tar.gz"))["contents.txt"]


@pytest.mark.parametrize(
    ("stderr", "group", "sentence"),
    [
        ("Unable to connect to the server: no route", ["v1alpha1"], "the API server does not answer"),
        (MISSING_KIND, [], "Isthmus is not installed in this cluster"),
        (MISSING_KIND, ["v9"], "this plugin reads isthmus.cloud/v1alpha1, and the cluster serves v9"),
        (
            forbidden("cloudpeers"),
            ["v1alpha1"],
            f"{', '.join(sources.KINDS)}: no right to list them at the cluster scope",
        ),
    ],
)
def test_nothing_that_could_be_read_is_no_archive(
    kubectl: FakeKubectl,
    capsys: pytest.CaptureFixture[str],
    stderr: str,
    group: list[str],
    sentence: str,
) -> None:
    kubectl.group(group)
    kubectl.answers("*isthmus.cloud *", listed() if "Forbidden" in stderr else "", stderr=stderr, code=1)
    assert main(["gather", "--out", "a.tar.gz"]) == 3
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.removeprefix("kubectl isthmus: ").startswith(sentence)
    assert not Path("a.tar.gz").exists()


def test_objects_are_cleaned() -> None:
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
    item = {
        "kind": "CloudPeer",
        "metadata": {
            "managedFields": [{}],
            "annotations": {LAST_APPLIED: f'{{"token": "{CANARY}"}}', "note": f"use {jwt}", "other": "stays"},
        },
        "spec": {"token": CANARY, "list": [{"text": f"password: {CANARY}"}], "number": 1},
    }
    assert cleaned(item) == {
        "kind": "CloudPeer",
        "metadata": {"annotations": {"note": "use [redacted]", "other": "stays"}},
        "spec": {"token": "[redacted]", "list": [{"text": "password: [redacted]"}], "number": 1},
    }
    environment = cleaned(POD)["spec"]["containers"][0]["env"]
    assert [variable["value"] for variable in environment] == ["gw-a1", "[redacted]"]
    assert cleaned({"kind": "Node", "metadata": {"name": "n", "annotations": {"a": "b"}}})["metadata"] == {"name": "n"}
    versions = [{"name": "v1alpha1", "schema": {"type": "object"}}]
    definition = cleaned({"kind": "CustomResourceDefinition", "spec": {"versions": versions}})
    assert definition["spec"] == {"versions": [{"name": "v1alpha1"}]}


def test_largest_files_are_cut() -> None:
    small = objects("small", [{"n": 1}])
    lines = log("lines", "".join(f"{number:03}\n" for number in range(100)))
    many = objects("many", [{"n": number} for number in range(100)])
    kept = {content.name: content for content in within([small, lines, many], 300)}
    assert kept["small"] == small
    assert kept["lines"].bytes.endswith(b"098\n099\n")
    assert [item["n"] for item in json.loads(kept["many"].bytes)["items"]] == list(range(len(kept["many"].parts)))
    assert kept["lines"].cut == f"the last {len(kept['lines'].parts)} of 100 lines"
    assert kept["many"].cut == f"the first {len(kept['many'].parts)} of 100 objects"
    assert sum(len(content.bytes) for content in kept.values()) <= 300
    assert within([small, lines, many], 10_000) == [small, lines, many]


def _forbidden(verb: str, resource: str) -> str:
    return (
        f'Error from server (Forbidden): pods "isthmus-agent-x" is forbidden: User "x" cannot {verb} resource '
        f'"{resource}" in API group "" in the namespace "isthmus-gateway"'
    )
