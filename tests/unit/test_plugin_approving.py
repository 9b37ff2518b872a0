"""`kubectl isthmus approve` and `refuse`: what awaits a decision, what is written, and when nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.plugin.main import main
from tests.fakes.failures import failure
from tests.fakes.kubectl import FakeKubectl, forbidden

WEB, BACKUP = "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11", "6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a12"


def link(
    network_id: str = WEB,
    name: str = "web",
    reason: str = "AwaitingApproval",
    cloud: str = "cloud-a",
    verdict: str = "Refused",
) -> dict[str, Any]:
    """Our answer to an offer of a peer."""
    offer = {"networkName": name, "project": {"name": "shop"}, "subnets": [{"cidr": "10.1.0.0/24"}]}
    return {
        "kind": "ExpansionLink",
        "metadata": {"name": f"{cloud}.{network_id}", "namespace": f"isthmus-peer-{cloud}"},
        "spec": {
            "peerCloudID": cloud,
            "origin": {"cloudID": cloud, "networkID": network_id},
            "state": "Active",
            "answer": {"verdict": verdict, "reason": reason},
        },
        "status": {"peer": {"spec": {"offer": offer}}},
    }


def approval(decision: str, message: str = "", network_id: str = WEB, cloud: str = "cloud-a") -> dict[str, Any]:
    metadata = {"name": f"{cloud}.{network_id}", "namespace": f"isthmus-peer-{cloud}"}
    return {"kind": "ExpansionApproval", "metadata": metadata, "spec": {"decision": decision, "message": message}}


OURS = {
    "kind": "ExpansionLink",
    "metadata": {"name": f"cloud-b.{BACKUP}", "namespace": "isthmus-peer-cloud-a"},
    "spec": {"origin": {"networkID": BACKUP}, "state": "Active", "offer": {"networkName": "ours"}},
}
ACCEPTED = link(reason="Accepted", verdict="Accepted")


class Cluster:
    """kubectl that keeps what is applied."""

    def __init__(self, kubectl: FakeKubectl, directory: Path) -> None:
        self.kubectl = kubectl
        self._directory = directory
        program = kubectl.path / "kubectl"
        kept = f'case "$*" in apply*|*" apply "*) cat > "{directory}/applied-$(date +%s%N)" ;; esac\n'
        program.write_text(program.read_text().replace("for rule in", f"{kept}for rule in", 1))

    def has(self, *items: dict[str, Any]) -> None:
        self.kubectl.objects(items)

    @property
    def written(self) -> list[dict[str, Any]]:
        """What was applied; every apply is tried before."""
        documents = [path.read_text() for path in sorted(self._directory.glob("applied-*"))]
        dry, real = documents[::2], documents[1::2]
        assert dry == real
        assert ["--dry-run=server" in call for call in self.applies] == [True, False] * len(real)
        return [item for document in real for item in json.loads(document)["items"]]

    @property
    def applies(self) -> list[str]:
        return [call for call in self.kubectl.calls if " apply " in call]


@pytest.fixture
def cluster(kubectl: FakeKubectl, tmp_path: Path) -> Cluster:
    return Cluster(kubectl, tmp_path)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("verb", ["approve", "refuse"])
def test_without_a_network_it_lists_what_awaits_a_decision(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    decided, other = link(BACKUP, "backup"), link(BACKUP, "full", "LimitReached", "cloud-c")
    cluster.has(link(), decided, approval("Accept", network_id=BACKUP), other, OURS)
    assert printed(capsys, verb).splitlines() == [
        "NETWORK                               NAME  PROJECT  PEER     SUBNETS",
        f"{WEB}  web   shop     cloud-a  10.1.0.0/24",
    ]
    (awaiting,) = json.loads(printed(capsys, verb, "-o", "json"))["awaiting"]
    assert (awaiting["name"], awaiting["peerCloudID"]) == (f"cloud-a.{WEB}", "cloud-a")
    cluster.has(ACCEPTED)
    assert printed(capsys, verb) == "no network awaits a decision\n"
    assert cluster.applies == []


@pytest.mark.parametrize("name", ["web", WEB, f"cloud-a.{WEB}"])
def test_a_network_is_approved_by_each_of_its_names(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    cluster.has(link(), OURS)
    assert printed(capsys, "approve", name, name) == "network web of cloud-a is approved.\n"
    (written,) = cluster.written
    made = ExpansionApproval.model_validate(written)
    assert (made.metadata.name, made.metadata.namespace) == (f"cloud-a.{WEB}", "isthmus-peer-cloud-a")
    assert (made.spec.decision, made.spec.message) == ("Accept", "")


def test_several_networks_are_refused_with_a_reason(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has(link(), link(BACKUP, "backup", cloud="cloud-c"))
    document = json.loads(printed(capsys, "refuse", "web", "backup", "--reason", "too loud", "-o", "json"))
    assert [(each["name"], each["changed"]) for each in document["networks"]] == [
        (f"cloud-a.{WEB}", True),
        (f"cloud-c.{BACKUP}", True),
    ]
    assert document["awaiting"] == []
    assert [each["spec"] for each in cluster.written] == [{"decision": "Refuse", "message": "too loud"}] * 2


@pytest.mark.parametrize(
    ("verb", "there"), [("approve", approval("Accept")), ("refuse", approval("Refuse", "said before"))]
)
def test_a_decision_that_is_made_is_not_made_again(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], verb: str, there: dict[str, Any]
) -> None:
    cluster.has(link(), there)
    assert printed(capsys, verb, "web").endswith("already.\n")
    assert cluster.applies == []


def test_a_decision_can_be_taken_back(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has(link(), approval("Refuse", "too loud"))
    printed(capsys, "approve", "web")
    cluster.has(link(), approval("Accept", "a note of somebody"))
    printed(capsys, "refuse", "web")
    assert [(each["spec"]["decision"], each["spec"]["message"]) for each in cluster.written] == [
        ("Accept", ""),
        ("Refuse", ""),
    ]


@pytest.mark.parametrize("verb", ["approve", "refuse"])
@pytest.mark.parametrize(
    "name", ["wbe", "", "ours", f"cloud-b.{BACKUP}", "withdrawn", f"cloud-x.{WEB}", f"isthmus-peer-cloud-a/{WEB}"]
)
def test_a_network_that_no_peer_offers_is_an_error_and_nothing_is_written(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], verb: str, name: str
) -> None:
    released = link(BACKUP, "withdrawn", "Released", verdict="Released")
    cluster.has(link(), link(WEB, "", cloud="cloud-c"), OURS, released, approval("Accept", cloud="cloud-x"))
    assert failure(capsys, verb, f"cloud-a.{WEB}", name, code=2).startswith(f"no peer offers a network {name!r}")
    assert cluster.applies == []


def test_a_name_of_several_networks_names_them(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has(link(), link(BACKUP, "web", cloud="cloud-c"))
    assert failure(capsys, "approve", "web", code=2) == (
        f"several networks are called 'web'; name one of these instead: cloud-a.{WEB}, cloud-c.{BACKUP}"
    )
    assert cluster.applies == []


def test_an_accepted_network_is_disconnected_only_if_that_is_said(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster.has(ACCEPTED, link(BACKUP, "backup"))
    refused = failure(capsys, "refuse", "backup", "web", code=1)
    assert refused.startswith("accepted already: network web of cloud-a; a refusal disconnects")
    assert cluster.applies == []
    printed(capsys, "refuse", "web", "--disconnect")
    (written,) = cluster.written
    assert written["spec"]["decision"] == "Refuse"


@pytest.mark.parametrize("reason", ["x" * 1025, "two\nlines", "\x1b[31mred"])
def test_a_reason_is_one_short_printable_line(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    cluster.has(link())
    assert failure(capsys, "refuse", "web", "--reason", reason, code=2).startswith("--reason must be one line")
    assert failure(capsys, "refuse", "--reason", "no", code=2).startswith("--reason is about the networks")
    assert cluster.kubectl.calls == []


@pytest.mark.parametrize("verb", ["status", "peers"])
@pytest.mark.parametrize("numbers", [(2, 0, 1), (0, 0, 0), (None, None, None)])
def test_what_waits_is_counted_for_each_peer(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], verb: str, numbers: tuple[int | None, ...]
) -> None:
    """A controller of an earlier release does not say the number."""
    cluster.has(*(_peer(f"cloud-{letter}", number) for letter, number in zip("bcd", numbers, strict=True)))
    main([verb])
    line = "networks awaiting a decision: 2 of cloud-b, 1 of cloud-d (kubectl isthmus approve)"
    printed_lines = capsys.readouterr().out.splitlines()
    assert [found for found in printed_lines if "awaiting" in found] == ([line] if numbers[0] else [])
    main([verb, "-o", "json"])
    assert [peer["networksAwaiting"] for peer in json.loads(capsys.readouterr().out)["peers"]] == list(numbers)


def _peer(name: str, awaiting: int | None) -> dict[str, Any]:
    status = {} if awaiting is None else {"networksAwaiting": awaiting}
    return {"kind": "CloudPeer", "metadata": {"name": name}, "spec": {"cloudID": name}, "status": status}


def test_rights_for_one_peer_suffice_with_its_namespace(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.kubectl.objects([], forbidden("expansionlinks"), 1)
    assert failure(capsys, "approve", "web", code=3) == (
        "expansionlinks: no right to list them at the cluster scope; with rights for one peer, name its namespace: "
        "-n isthmus-peer-CLOUD"
    )
    cluster.has(link())
    printed(capsys, "approve", "web", "-n", "isthmus-peer-cloud-a")
    gets = [call for call in cluster.kubectl.calls if "/namespaces/isthmus-peer-cloud-a/" in call]
    assert [call.rpartition("/")[2] for call in gets] == ["expansionlinks", "expansionapprovals"]


def test_without_the_right_to_decide_nothing_is_written(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.has(link())
    cluster.kubectl.answers("*apply *", stderr=forbidden("expansionapprovals").replace("list", "patch"), code=1)
    assert failure(capsys, "approve", "web", code=3).startswith("no right to patch expansionapprovals")
    assert len(cluster.applies) == 1, "nothing but the trial"
