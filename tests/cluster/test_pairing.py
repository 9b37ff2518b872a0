"""Two clouds on two real API servers agree by `kubectl isthmus invite`, `join` and `accept` alone.

The controllers are the real ones; OpenStack is a fake, and the agents' reports are written by the tests.
"""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KubernetesLeases
from isthmus.adapters.peers import RemotePeers
from isthmus.controller.election import Election
from isthmus.controller.run import published_identity
from isthmus.model import names
from isthmus.model.peerkubeconfig import PeerCredential
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.testbed.assets import ensure
from tests.testbed.host import netns
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority

from .accounts import account_kubeconfig, make_user
from .conftest import PUBLIC_ADDRESS
from .pluginfile import Plugin
from .realcloud import as_administrator, remove_everything

B_ADDRESS, ROUTER = "198.51.100.10", "198.51.100.1"
NETWORK_NAMESPACE = f"isthmus-pairing-{os.getpid()}"
TIMEOUT_SECONDS = 60
ROOT = Path(__file__).parents[2]


@dataclass
class Side:
    """One cloud: its API server, its controller, and an administrator with the plugin."""

    plane: ControlPlane
    cloud: FakeCloud
    plugin: Plugin
    server: str
    election: Election

    def cycle(self) -> None:
        self.election.attempt()
        self.cloud.play_agent()
        self.cloud.cycle()

    def objects(self, *what: str) -> list[Any]:
        found: list[Any] = json.loads(self.plane.kubectl("get", *what, "-o", "json"))["items"]
        return found

    def peers(self) -> dict[str, Any]:
        return {item["metadata"]["name"]: item for item in self.objects("cloudpeers")}

    def secrets(self) -> dict[str, dict[str, str]]:
        """Decoded data of all Secrets of peers, by namespace."""
        return _secrets(self.objects("secrets", "-A"))

    def trace(self) -> Any:
        """Everything that a verb could have left."""
        found = self.objects("cloudpeers,ipsecpolicies,secrets,namespaces", "-A")
        made = {f"{item['kind']} {item['metadata']['name']}" for item in found if item["kind"] != "Secret"}
        files = sorted(path.name for path in self.plugin.directory.glob("*isthmus*") if path.is_file())
        ours = sorted(name for name in made if not name.startswith("Namespace") or "isthmus-peer-cloud-" in name)
        return ours, _secrets(found), files

    def wait(self, peer: str, condition: str) -> None:
        self.plane.kubectl("wait", f"cloudpeer/{peer}", f"--for=condition={condition}", f"--timeout={TIMEOUT_SECONDS}s")


def _secrets(items: list[Any]) -> dict[str, dict[str, str]]:
    return {
        item["metadata"]["namespace"]: {k: base64.b64decode(v).decode() for k, v in item["data"].items()}
        for item in items
        if item["kind"] == "Secret" and item["metadata"]["name"].startswith("peer-cloud-")
    }


@dataclass
class Clouds:
    """Both, with their controllers in a thread."""

    a: Side
    b: Side
    stopped: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        try:
            while not self.stopped.is_set():
                self.a.cycle()
                self.b.cycle()
                time.sleep(0.2)
        except BaseException as error:
            self.failures.append(error)


@pytest.fixture(scope="module")
def second_plane(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Cloud B's API server, in a network namespace of its own behind a link."""
    del control_plane  # it puts the tests, and the other end of the link, into their network namespace
    directory = tmp_path_factory.mktemp("second-plane")
    plane = ControlPlane(ensure("kubernetes"), directory, addresses=(B_ADDRESS,), netns=NETWORK_NAMESPACE)
    netns.create(NETWORK_NAMESPACE)
    try:
        netns.batch(f"link add pairing type veth peer name eth0 netns {NETWORK_NAMESPACE}")
        netns.batch(f"address add {ROUTER}/24 dev pairing\nlink set pairing up")
        netns.batch(f"address add {B_ADDRESS}/24 dev eth0\nlink set eth0 up", NETWORK_NAMESPACE)
        plane.start()
        plane.kubectl("apply", "--server-side", "-k", str(ROOT / "deploy"))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        yield plane
    finally:
        plane.stop()
        netns.destroy(NETWORK_NAMESPACE)


@pytest.fixture(scope="module")
def clouds(
    installed: ControlPlane, second_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Clouds]:
    remove_everything(installed)
    directory = tmp_path_factory.mktemp("clouds")
    one, other = FakeFederation().clouds
    a = _side(one, installed, directory / "a", installed.server_at(PUBLIC_ADDRESS))
    b = _side(other, second_plane, directory / "b", second_plane.server_at(B_ADDRESS))
    both = Clouds(a, b)
    thread = threading.Thread(target=both.run)
    thread.start()
    for side in (a, b):
        wait_until(lambda: side.plugin.run("status").stdout.startswith(side.cloud.cloud_id), 30, "a controller")  # noqa: B023
    yield both
    both.stopped.set()
    thread.join()
    for side in (a, b):
        side.cloud.backends.peers.stop()
    remove_everything(installed)
    installed.kubectl("delete", "node", "gw-cloud-a")
    assert not both.failures


def _side(cloud: FakeCloud, plane: ControlPlane, directory: Path, server: str) -> Side:
    directory.mkdir()
    as_administrator(cloud, plane, directory)
    cloud.backends = replace(cloud.backends, peers=RemotePeers(cloud.cloud_id, 0.5))
    cloud.restart()
    controller = account_kubeconfig(plane, directory, names.SYSTEM_NAMESPACE, names.CONTROLLER)
    leases = KubernetesLeases(str(controller), names.CONTROLLER)
    election = Election(leases, SystemClock(), annotations=published_identity(cloud.settings))
    return Side(plane, cloud, Plugin.install(directory / "bin", plane.kubeconfig), server, election)


@pytest.fixture
def untouched(clouds: Clouds) -> Iterator[Clouds]:
    """What the test does in cloud A must leave nothing there, nor a file."""
    before = clouds.a.trace()
    yield clouds
    assert clouds.a.trace() == before


def invite(side: Side, peer: str = "cloud-b", *options: str, server: str = "") -> tuple[str, ...]:
    """The arguments of an invitation whose code goes to a file."""
    return ("invite", peer, "--server", server or side.server, "--code-file", "isthmus-code", *options)


def join(side: Side, file: Path, code: Path, *options: str) -> tuple[str, ...]:
    return ("join", str(file), "--server", side.server, "--code-file", str(code), "--yes", *options)


def refused(side: Side, *arguments: str, code: int = 1) -> str:
    """The sentence of a verb that must have changed nothing, and removed nothing as it never created anything."""
    return side.plugin.sentence(*arguments, code=code)


@pytest.mark.parametrize(
    ("server", "code", "sentence"),
    [
        ("https://127.0.0.1:6443", 2, "--server is a loopback address"),
        ("https://localhost:6443", 2, "--server is a loopback address"),
        ("https://[::1]:6443", 2, "--server is a loopback address"),
        ("https://0.0.0.0:6443", 2, "--server is no address at which a peer could reach"),
        ("http://192.0.2.10:6443", 2, "--server is not a plain URL"),
        ("192.0.2.10:6443", 2, "--server is not a plain URL"),
        ("https://user:word@192.0.2.10", 2, "--server is not a plain URL"),
        (f"https://{PUBLIC_ADDRESS}:1", 1, f"https://{PUBLIC_ADDRESS}:1 does not answer from here: Connection refused"),
        ("https://absent.invalid:6443", 1, "https://absent.invalid:6443 does not answer from here: "),
        (f"https://{B_ADDRESS}:6443", 1, f"the certificate of https://{B_ADDRESS}:6443 is not accepted: "),
    ],
)
def test_server_that_cannot_be_used(untouched: Clouds, server: str, code: int, sentence: str) -> None:
    assert refused(untouched.a, *invite(untouched.a, server=server), code=code).startswith(sentence)


def test_server_of_another_authority(untouched: Clouds, tmp_path: Path) -> None:
    Authority(tmp_path)
    arguments = invite(untouched.a, "cloud-b", "--ca-file", str(tmp_path / "ca.crt"))
    assert "is not accepted: " in refused(untouched.a, *arguments)
    (tmp_path / "none.crt").write_text("not PEM")
    arguments = invite(untouched.a, "cloud-b", "--ca-file", str(tmp_path / "none.crt"))
    assert refused(untouched.a, *arguments, code=2) == "the certificate authority is not in PEM"


def test_server_of_another_cluster_is_noticed_by_the_credential(untouched: Clouds) -> None:
    """Its certificate is accepted, so that something was created before this was known: it is removed again."""
    a, b = untouched.a, untouched.b
    arguments = invite(a, "cloud-b", "--ca-file", str(b.plane.ca_certificate), server=b.server)
    done = a.plugin.run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert "rejects the credential that this cluster has just issued" in done.stderr
    wait_until(lambda: not a.peers(), 30, "the CloudPeer to go")
    wait_until(lambda: "isthmus-peer-cloud-b" not in str(a.objects("namespaces")), 30, "its namespace to go")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("invite", "cloud-a"), "cloud-a is this very cloud"),
        (("invite", "Cloud B"), "'Cloud B' is no cloud ID"),
        (("invite", "cloud-b", "--policy", "absent"), "there is no IPsecPolicy 'absent'; there is: none"),
        (("invite", "cloud-b", "--hours", "0"), "--hours must be a whole number from 1 to 720"),
        (("invite", "cloud-b", "--days", "many"), "--days must be a whole number from 1 to 365"),
        (("invite", "cloud-b", "--tunnel-port", "4789"), "--tunnel-port must be from 1024 to 65535"),
        (("invite", "cloud-b", "--out", "/nowhere/file"), "cannot create /nowhere/file: "),
        (("invite", "cloud-b", "--out", "kubectl"), "kubectl exists already: remove it"),
        (("invite", "cloud-b", "--ca-file", "absent"), "cannot read the certificate authority absent: No such file"),
        (("join", "absent"), "cannot read the file absent: No such file"),
        (("revoke", "cloud-b"), "there is no CloudPeer 'cloud-b'"),
        (("forget", "cloud-b"), "there is no CloudPeer 'cloud-b'"),
        (("cordon", "cloud-b"), "there is no CloudPeer 'cloud-b'"),
        (("uncordon", "cloud-b"), "there is no CloudPeer 'cloud-b'"),
    ],
)
def test_wrong_arguments(untouched: Clouds, arguments: tuple[str, ...], sentence: str) -> None:
    a = untouched.a
    more = ["--server", a.server, "--code-file", "isthmus-code"] if arguments[0] in {"invite", "join"} else []
    assert refused(a, *arguments, *more, code=2).startswith(sentence)


def test_code_is_for_a_terminal_or_a_file(untouched: Clouds) -> None:
    a = untouched.a
    assert refused(a, "invite", "cloud-b", "--server", a.server, code=2).startswith(
        "the pairing code is printed to a t"
    )


def test_without_rights(untouched: Clouds, tmp_path: Path) -> None:
    a = untouched.a
    make_user(a.plane, "pairing-reader")
    reader = account_kubeconfig(a.plane, tmp_path, "users", "pairing-reader")
    assert a.plugin.sentence(*invite(a), kubeconfig=reader).startswith("cloudpeers: no right to list them")
    a.plane.kubectl("create", "clusterrole", "pairing", "--verb=list", "--resource=cloudpeers.isthmus.cloud")
    for verb, resource in (("get,list", "ipsecpolicies.isthmus.cloud"), ("get,list", "leases,configmaps")):
        a.plane.kubectl("create", "clusterrole", f"pairing-{resource[:6]}", f"--verb={verb}", f"--resource={resource}")
    for role in ("pairing", "pairing-ipsecp", "pairing-leases"):
        a.plane.kubectl(
            "create", "clusterrolebinding", role, f"--clusterrole={role}", "--serviceaccount=users:pairing-reader"
        )
    expected = 'no right to create serviceaccounts/token in the namespace "isthmus-peer-cloud-b"'
    wait_until(lambda: expected in a.plugin.run(*invite(a), kubeconfig=reader).stderr, 20, "the rights")


def test_agreement(clouds: Clouds, tmp_path: Path) -> None:
    a, b = clouds.a, clouds.b
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
    _check_objects(a, b)
    secrets = [a.secrets()["isthmus-ipsec"]["psk"], code.read_text().strip(), *map(_token, (a, b))]
    for text in (*(each.stdout for each in (invited, joined, accepted)), file.read_text(), answer.read_text()):
        assert not [secret for secret in secrets if secret in text]


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
            "gatewayCIDRs": [theirs.cloud.gateway_cidr],
            "ipsec": {"policyRef": {"name": "default"}, "authSecretRef": {"name": name}},
        }
        by_hand = ours.cloud.cloud_peer(theirs.cloud).to_manifest()["spec"]
        assert defaults["agreement"]["state"] == "Active"
        assert defaults["tunnel"] == by_hand["tunnel"]
    assert a.secrets()["isthmus-system"] != b.secrets()["isthmus-system"]


def test_peer_is_cordoned_and_uncordoned(clouds: Clouds) -> None:
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


def test_credential_is_revoked(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    assert "add --yes" in refused(a, "revoke", "cloud-b", "--credential", code=2)
    assert a.plugin.run("revoke", "cloud-b", "--credential", "--yes").returncode == 0
    b.wait("cloud-a", "Reachable=False")
    wait_until(lambda: "AccountRecreated" in str(a.peers()["cloud-b"]["status"]), 30, "the account to be created again")


def test_agreement_ends(clouds: Clouds) -> None:
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


def test_invitation_is_withdrawn(clouds: Clouds) -> None:
    a, b = clouds.a, clouds.b
    _remove_files(a, b)
    assert a.plugin.run(*invite(a)).returncode == 0
    file, code = a.plugin.directory / "cloud-a.for.cloud-b.isthmus", a.plugin.directory / "isthmus-code"
    assert b.plugin.run(*join(b, file, code)).returncode == 0
    assert a.plugin.run("revoke", "cloud-b").returncode == 0
    answer = b.plugin.directory / "cloud-b.for.cloud-a.isthmus"
    accept = ("accept", str(answer), "--code-file", str(code), "--yes")
    assert refused(a, *accept) == "cloud-b is not invited: the invitation was withdrawn"
    _remove_files(a)
    assert a.plugin.run(*invite(a)).returncode == 0
    assert "answers another invitation" in refused(a, *accept)
    assert a.plugin.run("revoke", "cloud-b").returncode == 0
    assert b.plugin.run("revoke", "cloud-a", "--yes").returncode == 0


def _remove_files(*sides: Side) -> None:
    for side in sides:
        for path in (*side.plugin.directory.glob("*.isthmus"), side.plugin.directory / "isthmus-code"):
            path.unlink(missing_ok=True)
