"""Why `kubectl isthmus invite` refuses, on a real API server: a sentence, an exit code, and nothing is left."""

from __future__ import annotations

import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.fakes.federation import FakeFederation
from tests.testbed.host.process import wait_until
from tests.testbed.kubernetes.cluster import ControlPlane
from tests.testbed.kubernetes.pki import Authority

from .accounts import account_kubeconfig, make_user
from .conftest import PUBLIC_ADDRESS
from .pairedclouds import Clouds, invite, refused, running, side_on


@pytest.fixture(scope="module")
def cloud(installed: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    directory = tmp_path_factory.mktemp("clouds")
    with running(
        side_on(FakeFederation().clouds[0], installed, directory / "a", installed.server_at(PUBLIC_ADDRESS))
    ) as clouds:
        yield clouds


@pytest.fixture
def untouched(cloud: Clouds) -> Iterator[Clouds]:
    """What the test does must leave nothing, nor a file."""
    before = cloud.a.trace()
    yield cloud
    assert cloud.a.trace() == before


@dataclass(frozen=True)
class OtherServer:
    """An API server of another cluster, as far as an invitation asks it."""

    url: str
    authority: Path


@pytest.fixture
def other_server(cloud: Clouds, tmp_path: Path) -> Iterator[OtherServer]:
    del cloud  # the address is in its network namespace
    authority = Authority(tmp_path / "pki")
    names = [f"subjectAltName=IP:{PUBLIC_ADDRESS}", "extendedKeyUsage=serverAuth"]
    certificate, key = authority.issue("server", "/CN=server", names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with ThreadingHTTPServer((PUBLIC_ADDRESS, 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield OtherServer(f"https://{PUBLIC_ADDRESS}:{server.server_port}", authority.certificate)
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401 if "Authorization" in self.headers else 200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


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
    ],
)
def test_server_that_cannot_be_used(untouched: Clouds, server: str, code: int, sentence: str) -> None:
    assert refused(untouched.a, *invite(untouched.a, server=server), code=code).startswith(sentence)


def test_server_of_another_authority(untouched: Clouds, other_server: OtherServer, tmp_path: Path) -> None:
    a, url = untouched.a, other_server.url
    assert refused(a, *invite(a, server=url)).startswith(f"the certificate of {url} is not accepted: ")
    arguments = invite(a, "cloud-b", "--ca-file", str(other_server.authority))
    assert "is not accepted: " in refused(a, *arguments)
    (tmp_path / "none.crt").write_text("not PEM")
    arguments = invite(a, "cloud-b", "--ca-file", str(tmp_path / "none.crt"))
    assert refused(a, *arguments, code=2) == "the certificate authority is not in PEM"


def test_server_of_another_cluster_is_noticed_by_the_credential(untouched: Clouds, other_server: OtherServer) -> None:
    """Its certificate is accepted, so that something was created before this was known: it is removed again."""
    a = untouched.a
    done = a.plugin.run(*invite(a, "cloud-b", "--ca-file", str(other_server.authority), server=other_server.url))
    assert (done.returncode, done.stdout) == (1, "")
    assert "rejects the credential that this cluster has just issued" in done.stderr
    wait_until(lambda: not a.peers(), 60, "the CloudPeer to go")
    wait_until(lambda: "isthmus-peer-cloud-b" not in str(a.objects("namespaces")), 60, "its namespace to go")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("invite", "cloud-a"), "cloud-a is this very cloud"),
        (("invite", "Cloud B"), "'Cloud B' is no cloud ID"),
        (("invite", "cloud-b", "--policy", "absent"), "there is no IPsecPolicy 'absent'; there is: none"),
        (("invite", "cloud-b", "--hours", "0"), "--hours must be a whole number from 1 to 720"),
        (("invite", "cloud-b", "--days", "many"), "--days must be a whole number from 1 to 365"),
        (("invite", "cloud-b", "--tunnel-port", "4789"), "--tunnel-port must be from 1024 to 65535"),
        (("invite", "cloud-b", "--encapsulation", "GRE", "--tunnel-port", "14789"), "GRE has no UDP port: leave out"),
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
    assert a.plugin.sentence(*invite(a), kubeconfig=reader) == (
        "cloudpeers, ipsecpolicies: no right to list them at the cluster scope; "
        'leases: no right to list them in the namespace "isthmus-system"'
    )
    a.plane.kubectl("create", "clusterrole", "pairing", "--verb=list", "--resource=cloudpeers.isthmus.cloud")
    for verb, resource in (("get,list", "ipsecpolicies.isthmus.cloud"), ("get,list", "leases,configmaps")):
        a.plane.kubectl("create", "clusterrole", f"pairing-{resource[:6]}", f"--verb={verb}", f"--resource={resource}")
    for role in ("pairing", "pairing-ipsecp", "pairing-leases"):
        a.plane.kubectl(
            "create", "clusterrolebinding", role, f"--clusterrole={role}", "--serviceaccount=users:pairing-reader"
        )
    expected = 'no right to create serviceaccounts/token in the namespace "isthmus-peer-cloud-b"'
    wait_until(lambda: expected in a.plugin.run(*invite(a), kubeconfig=reader).stderr, 60, "the rights")


def test_interrupted_invitation_leaves_nothing(untouched: Clouds) -> None:
    a = untouched.a
    with untouched.paused():
        command = [str(a.plugin.directory / "kubectl-isthmus"), *invite(a)]
        with subprocess.Popen(
            ["env", "--default-signal=INT", *command], env=a.plugin.environment, cwd=a.plugin.directory,
            stderr=subprocess.PIPE, start_new_session=True, text=True,
        ) as process:  # fmt: skip
            wait_until(lambda: a.peers() or process.poll() is not None, 60, "the CloudPeer")
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert process.stderr.read() == "kubectl isthmus: failed, removing what was created\n"
        assert process.returncode == 130
