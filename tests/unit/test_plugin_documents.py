"""`-o json` of every verb: the version of its schema, and the fields that scripts may rely on."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from isthmus.plugin import agreements, approving, restart
from isthmus.plugin.core.answer import Answer
from isthmus.plugin.core.bundles import answers
from isthmus.plugin.core.bundles.bundle import Header, Type
from isthmus.plugin.core.bundles.code import PairingCode
from isthmus.plugin.core.diagnosis import diagnose
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.explain import explain
from isthmus.plugin.core.gather import tarball
from isthmus.plugin.core.networks import networks
from isthmus.plugin.core.peers import peers
from isthmus.plugin.core.probing.answer import benched, verified
from isthmus.plugin.core.removal import installation
from isthmus.plugin.core.removal.installation import Kept
from isthmus.plugin.core.resources import Cloud
from isthmus.plugin.core.restart.workloads import COMPONENTS
from isthmus.plugin.core.status import status
from isthmus.plugin.core.topology import topology
from isthmus.plugin.core.verbs import VERBS
from isthmus.plugin.core.versions import versions
from isthmus.plugin.main import main
from tests.fakes.kubectl import FakeKubectl

CLOUD = Cloud()
CODE = PairingCode.new(bytes(17))
HEADER = Header(Type.INVITATION, "cloud-a", "cloud-b", datetime(2099, 1, 1, tzinfo=UTC), b"i" * 32, b"i" * 32)
LINK = "cloud-a.6c1b3b1e-0f51-4a3c-9c0a-5d6f0a6f6a11"
ENDS = "2026-01-31T12:00:00Z"
FILE = ("cloud-a.for.cloud-b.isthmus", "https://192.0.2.10:6443", ENDS)
PEER: dict[str, Any] = {
    "kind": "CloudPeer",
    "metadata": {"name": "cloud-b"},
    "spec": {"cloudID": "cloud-b", "agreement": {"state": "Active"}},
}

# A change of what is here is another version of the schema.
FIELDS: dict[str, set[str]] = {
    "status": {"cloudID", "controller", "nodes", "peers", "networks", "replicas", "problems", "unread"},
    "peers": {"peers", "problems", "unread"},
    "networks": {"networks", "replicas", "problems", "unread"},
    "diagnose": {"subjects", "unread"},
    "topology": {"cloudID", "diagnosis", "nodes", "peers", "problems", "unread"},
    "verify": {"links", "notes"},
    "bench": {"links", "notes"},
    "invite": {"peer", "file", "server", "expires", "credentialExpires"},
    "join": {"peer", "file", "server", "expires", "credentialExpires"},
    "accept": {"peer", "state"},
    "cordon": {"peer", "state", "changed"},
    "uncordon": {"peer", "state", "changed"},
    "drain": {"peer", "state", "changed", "graceSeconds"},
    "revoke": {"peer", "deletedSecrets"},
    "forget": {"peer", "deletedSecrets"},
    "approve": {"networks", "awaiting"},
    "refuse": {"networks", "awaiting"},
    "gather": {"file", "bytes"},
    "restart": {"component", "nodes"},
    "uninstall": {"removed", "left"},
    "explain": {"reason", "category", "meaning", "remedy", "places", "anchor"},
    "version": {"client", "definitions"},
}
ANSWERS: dict[str, Callable[[], Answer]] = {
    "status": lambda: status(CLOUD, {}, ()),
    "peers": lambda: peers(CLOUD, ()),
    "networks": lambda: networks(CLOUD, "", ()),
    "diagnose": lambda: diagnose(Readings(CLOUD, {}, {}), None, ()),
    "topology": lambda: topology(Readings(CLOUD, {}, {}), ()),
    "verify": lambda: verified([]),
    "bench": lambda: benched([]),
    "invite": lambda: answers.invited(HEADER, *FILE, CODE, "code"),
    "join": lambda: answers.joined(HEADER, *FILE),
    "accept": lambda: answers.accepted(HEADER),
    "approve": lambda: approving.listed("approve", ()),
    "refuse": lambda: approving.listed("refuse", ()),
    "gather": lambda: tarball.gathered("a.tar.gz", 1, [], [], []),
    "restart": lambda: restart._answer(COMPONENTS["charon"], ["gw-a1"]),
    "uninstall": lambda: installation.uninstalled([], Kept((), {}), (), ()),
    "explain": lambda: explain("BFDDown"),
    "version": lambda: versions("0.1.0", "isthmus.cloud/v1alpha1", CLOUD),
}


def test_every_verb_with_json_is_here() -> None:
    with_output = {verb.name for verb in VERBS if any("--output" in option.names for option in verb.options)}
    assert set(FIELDS) == with_output == set(ANSWERS) | set(agreements.VERBS)


@pytest.mark.parametrize("verb", ANSWERS)
def test_document_has_a_schema_and_these_fields(verb: str) -> None:
    document = json.loads(json.dumps(ANSWERS[verb]().to_document()))
    assert document["schema"] == f"isthmus.cloud/{verb}/v1"
    assert FIELDS[verb] - set(document) == set()


def test_code_is_in_no_document() -> None:
    assert CODE.text() not in json.dumps(ANSWERS["invite"]().to_document())


@pytest.mark.parametrize(
    ("verb", "options", "state"),
    [
        ("cordon", [], "Active"),
        ("uncordon", [], "Cordoned"),
        ("drain", ["--yes"], "Cordoned"),
        ("revoke", ["--yes"], "Active"),
        ("forget", ["--yes"], "Active"),
    ],
)
def test_documents_of_an_agreements_end_and_state(
    kubectl: FakeKubectl,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    options: list[str],
    state: str,
) -> None:
    kubectl.answers("*get cloudpeers.isthmus.cloud cloud-b *", "")
    kubectl.answers("*get secrets *", "")
    kubectl.answers("*delete secret *", "secret/x\n")
    kubectl.objects([PEER | {"spec": PEER["spec"] | {"agreement": {"state": state}}}])
    assert main([verb, "cloud-b", *options, "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == f"isthmus.cloud/{verb}/v1"
    assert FIELDS[verb] - set(document) == set()


@pytest.mark.parametrize(("state", "sentence"), [("Active", "is Active, and only"), ("", "does not exist")])
def test_only_a_withdrawn_network_is_forgotten(
    kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str], state: str, sentence: str
) -> None:
    kubectl.objects([PEER])
    kubectl.answers("*get expansionlinks.isthmus.cloud *", json.dumps({"spec": {"state": state}}) if state else "")
    assert main(["forget", "cloud-b", "--network", LINK, "--yes"]) == 1
    assert sentence in capsys.readouterr().err
    assert not [call for call in kubectl.calls if "annotate" in call]


def test_one_withdrawn_network_is_forgotten(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    kubectl.objects([PEER])
    kubectl.answers("*get expansionlinks.isthmus.cloud *", json.dumps({"spec": {"state": "Withdrawn"}}))
    kubectl.answers("*annotate *", "")
    assert main(["forget", "cloud-b", "--network", LINK, "--yes", "-o", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == {"schema": "isthmus.cloud/forget/v1", "peer": "cloud-b", "forgotten": LINK}
    (call,) = (call for call in kubectl.calls if "annotate" in call)
    assert f"{LINK} -n isthmus-peer-cloud-b --overwrite isthmus.cloud/forget=true" in call
