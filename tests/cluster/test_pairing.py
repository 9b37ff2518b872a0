"""Two clouds on two real API servers agree by `kubectl isthmus invite`, `join` and `accept` alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.model import names
from isthmus.model.peerkubeconfig import PeerCredential
from tests.fakes.federation import FakeFederation
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane

from .accounts import USERS, account_kubeconfig, make_user
from .conftest import PUBLIC_ADDRESS, SECOND_ADDRESS
from .pairedclouds import Clouds, Side, agree, at_terminal, invite, join, refused, remove_files, running, side_on

ROOT = Path(__file__).parents[2]
RBAC = "rbac.authorization.k8s.io/v1"
SUBJECT = f"--serviceaccount={USERS}:pairing-administrator"


@pytest.fixture(scope="module")
def clouds(
    installed: ControlPlane, second_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clouds]:
    directory = tmp_path_factory.mktemp("clouds")
    one, other = FakeFederation().clouds
    a = side_on(one, installed, directory / "a", installed.server_at(PUBLIC_ADDRESS))
    b = side_on(other, second_plane, directory / "b", second_plane.server_at(SECOND_ADDRESS))
    with running(a, b) as both:
        yield both


def test_agreement(clouds: Clouds, tmp_path: Path) -> None:
    _agree(clouds, tmp_path)
    _check_objects(clouds.a, clouds.b)
    _cordon(clouds)
    _drain(clouds)
    _revoke_credential(clouds)
    _end(clouds)


def _agree(clouds: Clouds, tmp_path: Path) -> None:
    a, b = clouds.a, clouds.b
    remove_files(a, b)
    invited = a.plugin.run(*invite(a))
    assert (invited.returncode, invited.stderr) == (0, "")
    file, code = a.plugin.directory / "cloud-a.for.cloud-b.isthmus", a.plugin.directory / "isthmus-code"
    assert {oct(path.stat().st_mode) for path in (file, code)} == {"0o100600"}
    assert a.peers()["cloud-b"]["spec"]["agreement"]["state"] == "Invited"
    assert "Invited" in a.plugin.run("peers").stdout
    a.wait("cloud-b", "Progressing")
    assert a.objects("peerlinks", "-A") == []
    assert "invited already" in refused(a, *invite(a, "cloud-b", "--out", "x", "--code-file", "y"))
    assert "only invited" in refused(a, "cordon", "cloud-b")

    _bad_invitations(b, file, code, tmp_path)
    assert refused(a, *join(a, file, code, "--out", "x")).startswith("the invitation is your own")
    assert "is your own invitation" in refused(a, "accept", str(file), "--code-file", str(code))

    joined = b.plugin.run(*join(b, file, code))
    assert (joined.returncode, joined.stderr) == (0, "")
    answer = b.plugin.directory / "cloud-b.for.cloud-a.isthmus"
    assert "was used already" in refused(b, *join(b, file, code, "--out", "x"))
    assert refused(b, "accept", str(answer), "--code-file", str(code)).startswith("the answer is your own")
    assert "is an answer and no invitation" in refused(b, *join(b, answer, code, "--out", "x"))
    _bad_answers(a, answer, code, tmp_path)

    accepted = a.plugin.run("accept", str(answer), "--code-file", str(code), "--yes")
    assert (accepted.returncode, accepted.stderr) == (0, "")
    for side, peer in ((a, "cloud-b"), (b, "cloud-a")):
        side.wait(peer, "Ready")
        assert side.plugin.run("status").returncode == 1  # no agent renews its Lease
    assert "was accepted already" in refused(a, "accept", str(answer), "--code-file", str(code), "--yes")
    _check_secrecy(clouds, code.read_text().strip(), *(each.stdout for each in (invited, joined, accepted)))


def _check_secrecy(clouds: Clouds, code: str, *printed: str) -> None:
    """Neither code, key nor token is in a file, an output, a command line or an object, but for the Secrets."""
    readable = list(printed)
    secrets = {code, code.replace("-", "")[:26]}
    for side in clouds.sides:
        secrets |= {side.secrets()["isthmus-ipsec"]["psk"], _token(side)}
        readable += [
            path.read_text() for path in (*side.plugin.directory.glob("*.isthmus"), side.plugin.directory / "calls")
        ]
        kinds = "cloudpeers,peerlinks,gatewaynodes,ipsecpolicies,events,configmaps,serviceaccounts,namespaces,leases"
        readable.append(side.plane.kubectl("get", kinds, "-A", "-o", "json"))
    assert "create token" in "".join(readable)
    assert not [secret for text in readable for secret in secrets if secret in text]


def _bad_invitations(b: Side, file: Path, code: Path, directory: Path) -> None:
    before = b.trace()
    changed, wrong, other = directory / "changed", directory / "wrong-code", directory / "other"
    content = file.read_text()
    changed.write_text(content.replace('"from": "cloud-a"', '"from": "cloud-c"'))
    assert "is not that of this file, or the file was changed" in refused(b, *join(b, changed, code))
    changed.write_text(content[:-1])
    assert "was changed after it was written" in refused(b, *join(b, changed, code))
    changed.write_text(content.replace('"version": 1', '"version": 2'))
    assert "format 2 of a newer release" in refused(b, *join(b, changed, code))
    wrong.write_text("0000-0000-0000-0000-0000-0000-0000")
    assert "has a typing mistake" in refused(b, *join(b, file, wrong))
    wrong.write_text(code.read_text()[:-6])
    assert "has 28 letters and digits, and this one has" in refused(b, *join(b, file, wrong))
    other.write_text(content.replace('"to": "cloud-b"', '"to": "cloud-c"'))
    assert refused(b, *join(b, other, code)) == "the invitation is for cloud-c, and this is cloud-b"
    other.write_text(content.replace('"expires": "20', '"expires": "19'))
    assert refused(b, *join(b, other, code)).startswith("the invitation expired at 19")
    without_yes = [argument for argument in join(b, file, code) if argument != "--yes"]
    assert "to confirm without a terminal, add --yes" in refused(b, *without_yes, code=2)
    assert b.trace() == before


def _bad_answers(a: Side, answer: Path, code: Path, directory: Path) -> None:
    before = a.trace()
    changed = directory / "changed-answer"
    changed.write_text(answer.read_text().replace('"sealed": "', '"sealed": "AAAA'))
    accept = ("accept", str(changed), "--code-file", str(code), "--yes")
    assert "is not that of this file, or the file was changed" in refused(a, *accept)
    changed.write_text(answer.read_text().replace('"to": "cloud-a"', '"to": "cloud-c"'))
    assert refused(a, *accept) == "the answer is for cloud-c, and this is cloud-a"
    changed.write_text(answer.read_text().replace('"expires": "20', '"expires": "19'))
    assert refused(a, *accept).startswith("the answer expired at 19")
    assert a.trace() == before


def _token(side: Side) -> str:
    return PeerCredential.parse(side.secrets()["isthmus-system"]["kubeconfig"].encode()).token


def _check_objects(a: Side, b: Side) -> None:
    """What administrators would have written by hand: docs/install.md."""
    assert a.secrets()["isthmus-ipsec"] == b.secrets()["isthmus-ipsec"]
    assert len(a.secrets()["isthmus-ipsec"]["psk"]) == 64
    for ours, theirs in ((a, b), (b, a)):
        peer, name = theirs.cloud.cloud_id, f"peer-{theirs.cloud.cloud_id}"
        credential = PeerCredential.parse(ours.secrets()["isthmus-system"]["kubeconfig"].encode())
        assert f"https://{credential.host}:{credential.port}" == theirs.server
        assert credential.authority == theirs.plane.ca_certificate.read_text()
        account = theirs.objects("serviceaccounts", "-n", f"isthmus-peer-{ours.cloud.cloud_id}")
        annotations = next(item for item in account if item["metadata"]["name"] == "peer")["metadata"]["annotations"]
        assert annotations[names.SERVER_ANNOTATION] == theirs.server
        assert names.HANDED_OVER_ANNOTATION in annotations
        assert list(ours.peers()) == [peer]
        spec = ours.peers()[peer]["spec"]
        defaults = {key: spec.pop(key) for key in ("tunnel", "agreement")}
        assert spec == {
            "cloudID": peer,
            "api": {"kubeconfigSecretRef": {"name": name}},
            "gatewayCIDRs": [theirs.cloud.gateway_cidr, theirs.cloud.gateway_cidr_v6],
            "ipsec": {"policyRef": {"name": "default"}, "authSecretRef": {"name": name}, "authentication": "PSK"},
        }
        by_hand = ours.cloud.cloud_peer(theirs.cloud, tunnel={"port": 14789}).to_manifest()["spec"]
        assert defaults["agreement"]["state"] == "Active"
        assert defaults["tunnel"] == by_hand["tunnel"]
    assert a.secrets()["isthmus-system"] != b.secrets()["isthmus-system"]


def _cordon(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    for verb, state, changed in (
        ("cordon", "Cordoned", True),
        ("cordon", "Cordoned", False),
        ("uncordon", "Active", True),
        ("uncordon", "Active", False),
    ):
        done = a.plugin.run(verb, "cloud-b", "-o", "json")
        document = {"schema": f"isthmus.cloud/{verb}/v1", "peer": "cloud-b", "state": state, "changed": changed}
        assert (done.returncode, json.loads(done.stdout)) == (0, document)
        assert a.peers()["cloud-b"]["spec"]["agreement"]["state"] == state
    assert refused(b, "cordon", "cloud-x", code=2) == "there is no CloudPeer 'cloud-x'; did you mean cloud-a?"


def _drain(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    assert "add --yes" in refused(a, "drain", "cloud-b", code=2)
    assert "--grace must be a whole number" in refused(a, "drain", "cloud-b", "--grace", "0", "--yes", code=2)
    done = a.plugin.run("drain", "cloud-b", "--grace", "7200", "--yes", "-o", "json")
    assert (done.returncode, json.loads(done.stdout)["changed"]) == (0, True)
    assert a.peers()["cloud-b"]["spec"]["agreement"]["drain"] == {"graceSeconds": 7200}
    a.wait("cloud-b", "Drained")  # nothing is stretched
    (published,) = a.objects("peerlinks", "-A")
    assert (published["spec"]["state"], sorted(published["spec"]["drain"])) == ("Cordoned", ["deadline", "since"])
    b.wait("cloud-a", "PeerDraining")
    deadline = published["spec"]["drain"]["deadline"]
    assert deadline in b.plugin.run("peers").stdout
    assert a.plugin.run("uncordon", "cloud-b").returncode == 0
    wait_until(lambda: "PeerDraining" not in str(b.peers()["cloud-a"]["status"]), 60, "the peer to go on")
    (published,) = a.objects("peerlinks", "-A")
    assert (published["spec"]["state"], "drain" in published["spec"]) == ("Active", False)
    assert '"Drained"' not in json.dumps(a.peers()["cloud-b"]["status"])


def _revoke_credential(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    assert "add --yes" in refused(a, "revoke", "cloud-b", "--credential", code=2)
    assert a.plugin.run("revoke", "cloud-b", "--credential", "--yes").returncode == 0
    b.wait("cloud-a", "Reachable=False")
    wait_until(lambda: "AccountRecreated" in str(a.peers()["cloud-b"]["status"]), 60, "the account to be created again")


def _end(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    assert "add --yes" in refused(a, "revoke", "cloud-b", code=2)
    assert list(a.peers()) == ["cloud-b"]
    done = a.plugin.run("revoke", "cloud-b", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "cloud-b is removed.",
        "Deleted Secret isthmus-system/peer-cloud-b.",
        "Deleted Secret isthmus-ipsec/peer-cloud-b.",
    ]
    assert refused(a, "revoke", "cloud-b", code=2) == "there is no CloudPeer 'cloud-b'"
    assert "add --yes" in refused(b, "forget", "cloud-a", code=2)
    assert b.plugin.run("forget", "cloud-a", "--yes").returncode == 0
    for side in (a, b):
        assert (side.peers(), side.secrets()) == ({}, {})


def test_invitation_names_the_encapsulation_and_whoever_joins_takes_it(clouds: Clouds) -> None:
    agree(clouds.a, clouds.b, "--encapsulation", "GRE")
    for side, peer in ((clouds.a, "cloud-b"), (clouds.b, "cloud-a")):
        tunnel = side.peers()[peer]["spec"]["tunnel"]
        assert (tunnel["encapsulation"], "port" in tunnel) == ("GRE", False)
        (link,) = side.objects("peerlinks", "-A")
        assert link["spec"]["tunnel"] == tunnel == link["status"]["peer"]["spec"]["tunnel"]
        heading, row = side.plane.kubectl("get", "cloudpeers").splitlines()
        assert row.split()[heading.split().index("TUNNEL")] == "GRE"
    _end(clouds)


def test_invitation_is_withdrawn(clouds: Clouds, tmp_path: Path) -> None:
    """By an administrator of cloud A who has the documented rights and no others."""
    a, b = clouds.a, clouds.b
    a = replace(a, plugin=replace(a.plugin, kubeconfig=_administrator(a, tmp_path)))
    remove_files(a, b)
    assert a.plugin.run(*invite(a)).returncode == 0
    file, code = a.plugin.directory / "cloud-a.for.cloud-b.isthmus", a.plugin.directory / "isthmus-code"
    assert b.plugin.run(*join(b, file, code)).returncode == 0
    assert a.plugin.run("revoke", "cloud-b").returncode == 0
    answer = b.plugin.directory / "cloud-b.for.cloud-a.isthmus"
    accept = ("accept", str(answer), "--code-file", str(code), "--yes")
    assert refused(a, *accept) == "cloud-b is not invited: the invitation was withdrawn"
    remove_files(a)
    assert a.plugin.run(*invite(a)).returncode == 0
    assert "answers another invitation" in refused(a, *accept)
    assert a.plugin.run("revoke", "cloud-b").returncode == 0
    assert b.plugin.run("revoke", "cloud-a", "--yes").returncode == 0


def test_code_is_shown_and_asked_for_at_a_terminal(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    remove_files(a, b)
    status, shown = at_terminal(a, "invite", "cloud-b", "--server", a.server)
    assert status == 0, shown
    (code,) = re.findall("(?:[0-9A-Z]{4}-){6}[0-9A-Z]{4}", shown)
    file = str(a.plugin.directory / "cloud-a.for.cloud-b.isthmus")
    arguments = ("join", file, "--server", b.server)
    before = b.trace()
    status, shown = at_terminal(b, *arguments, typed={"pairing code: ": code, "[y/N] ": "n"})
    assert status == 1, shown
    assert "kubectl isthmus: nothing was changed" in shown
    assert b.trace() == before
    status, shown = at_terminal(b, *arguments, typed={"pairing code: ": code.lower(), "[y/N] ": "y"})
    assert status == 0, shown
    assert code not in shown.upper()
    assert f"API server  {a.server}" in shown
    assert a.plugin.run("revoke", "cloud-b").returncode == 0
    assert b.plugin.run("revoke", "cloud-a", "--yes").returncode == 0


def _administrator(side: Side, directory: Path) -> Path:
    """The kubeconfig of an account with the rights of docs/bundles.md."""
    make_user(side.plane, "pairing-administrator")
    for number, (places, resources, verbs) in enumerate(_documented_rights()):
        name = f"pairing-administrator-{number}"
        role = {"apiVersion": RBAC, "kind": "ClusterRole", "metadata": {"name": name}}
        side.plane.kubectl("apply", "-f", "-", input=json.dumps(role | {"rules": [_rule(resources, verbs)]}))
        named = re.findall(r"`([^`]*)`", places)
        for namespace in named:
            side.plane.kubectl("create", "rolebinding", name, "-n", namespace, f"--clusterrole={name}", SUBJECT)
        if not named or "the peer's namespace" in places:  # which does not exist yet: for all namespaces
            side.plane.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", SUBJECT)
    return account_kubeconfig(side.plane, directory, USERS, "pairing-administrator")


def _documented_rights() -> list[list[str]]:
    """The rows of the table: where, resources, verbs."""
    page = (ROOT / "docs" / "bundles.md").read_text().partition("## Rights of an administrator\n\n")[2]
    rows = [[cell.strip() for cell in line.split("|")[1:4]] for line in page.splitlines()]
    assert rows[0] == ["where", "resources", "verbs"]
    return rows[2:]


def _rule(resources: str, verbs: str) -> dict[str, list[str]]:
    groups = {"cloudpeers": "isthmus.cloud", "leases": "coordination.k8s.io", "rolebindings": RBAC.partition("/")[0]}
    named = re.findall(r"`([^`]*)`", resources)
    plain = [resource.removesuffix("/kube-root-ca.crt") for resource in named]
    rule = {"apiGroups": [groups.get(plain[0], "")], "resources": plain}
    rule["verbs"] = re.findall(r"\b(?:get|list|create|patch|delete)\b", verbs)
    return rule | ({"resourceNames": ["kube-root-ca.crt"]} if plain != named else {})
