"""Loading of kubeconfigs and of pods' service accounts."""

from __future__ import annotations

import base64
import json
import logging
import ssl
import sys
import tempfile
from contextlib import nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes.config import incluster_config

from isthmus.adapters.kubernetes import access
from isthmus.adapters.kubernetes.access import load, require
from isthmus.adapters.kubernetes.login import credentials
from isthmus.model.errors import Forbidden, Invalid
from tests.fakes.apiserver import write_kubeconfig
from tests.testbed.kubernetes.pki import Authority

CANARY = "canary-5f0c2d7a9b"
SERVER = "https://192.0.2.10:6443"
SERVER_NAME = "kubernetes.default.svc"
API_VERSION = "client.authentication.k8s.io/v1"
CLIENT = ("keyUsage=digitalSignature", "extendedKeyUsage=clientAuth")


def _write(path: Path, user: dict[str, Any], **cluster: Any) -> str:
    return write_kubeconfig(path, {"server": SERVER, **cluster}, user)


def _plugin(directory: Path, credential: dict[str, Any]) -> dict[str, Any]:
    """An exec plugin that prints a credential and records each run."""
    printed = {"apiVersion": API_VERSION, "kind": "ExecCredential", "status": credential}
    (directory / "credential").write_text(json.dumps(printed))
    script = directory / "plugin.py"
    script.write_text(
        f"print(open({str(directory / 'credential')!r}).read())\nopen({str(directory / 'runs')!r}, 'a').write('x')\n"
    )
    return {"exec": {"apiVersion": API_VERSION, "command": sys.executable, "args": [str(script)]}}


def presented(client: ssl.SSLContext, pki: Path, host: str = SERVER_NAME) -> Path | None:
    """The certificate that a client presents to a server of that authority, called SERVER_NAME; None without one.

    Raises SSLCertVerificationError if the client does not accept the server, which it connects to as `host`.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(pki / "ca.crt")
    server.load_cert_chain(
        *Authority(pki).issue("server", f"/CN={SERVER_NAME}", (f"subjectAltName=DNS:{SERVER_NAME}",))
    )
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(down, up, server_hostname=host)
    there = server.wrap_bio(up, down, server_side=True)
    for end in (here, there, here, there):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()
    der = there.getpeercert(binary_form=True)
    files = (path for path in pki.glob("*.crt") if der and path.read_text() == ssl.DER_cert_to_PEM_cert(der))
    return next(files, None)


def _runs(directory: Path) -> int:
    return len((directory / "runs").read_text())


class TestFiles:
    def test_first_current_context_of_several_files_is_used(self, tmp_path: Path) -> None:
        (tmp_path / "empty").write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": ""}))
        paths = [str(tmp_path / "absent"), str(tmp_path / "empty")]
        for name in ("first", "second"):
            cluster = {"server": f"https://{name}.example.net"}
            paths.append(write_kubeconfig(tmp_path / name, cluster, {"token": name}, name))
        found = load(":".join(paths))
        assert found.configuration.host == "https://first.example.net"
        assert found.authorization() == "Bearer first"

    def test_context_and_user_in_different_files(self, tmp_path: Path) -> None:
        first = tmp_path / "first"
        _write(first, {})
        document = json.loads(first.read_text())
        users = {"users": [document["users"].pop() | {"user": {"tokenFile": "token"}}]}
        first.write_text(json.dumps(document))
        (tmp_path / "other").mkdir()
        second = tmp_path / "other" / "second"
        second.write_text(json.dumps(document | {"clusters": [], "contexts": []} | users))
        (tmp_path / "other" / "token").write_text("beside")
        assert load(f"{first}:{second}").authorization() == "Bearer beside"

    def test_missing_kubeconfig_is_reported_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match=r"^kubeconfig: no such file: /absent/a:/absent/b$"):
            require("/absent/a:/absent/b")
        require(f"/absent/a:{_write(tmp_path / 'there', {'token': 't'})}")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"current-context": None}, "current-context"),
            ({"current-context": "other"}, "other"),
            ({"users": []}, "home"),
            ({"clusters": [{"name": "home", "cluster": {}}]}, "server"),
            ({"clusters": [{"name": "home", "cluster": {"server": "192.0.2.10:6443"}}]}, "server"),
            ({"contexts": [{"name": "home"}]}, "context"),
            ({"contexts": "home"}, "name"),
            ({"users": [{"name": "home", "token": CANARY}]}, "user"),
        ],
    )
    def test_incomplete_kubeconfig_is_rejected(self, tmp_path: Path, change: dict[str, Any], message: str) -> None:
        path = Path(_write(tmp_path / "kubeconfig", {"token": CANARY}))
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
        with pytest.raises(Invalid, match=message) as caught:
            load(str(path))
        assert CANARY not in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [
            f"users: [{{name: home, user: {{token: {CANARY}, tokenFile: {CANARY}",
            f"token: {CANARY}",
            f"- {CANARY}",
            CANARY,
            "",
            "\x00",
        ],
    )
    def test_malformed_kubeconfig_is_rejected_without_quoting_it(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "kubeconfig").write_text(text)
        with pytest.raises(Invalid, match=r"^kubeconfig: ") as caught:
            load(str(tmp_path / "kubeconfig"))
        assert CANARY not in str(caught.value)

    def test_impersonation_is_rejected(self, tmp_path: Path) -> None:
        with pytest.raises(Invalid, match="impersonation"):
            load(_write(tmp_path / "kubeconfig", {"token": "t", "as": "somebody"}))

    @pytest.mark.parametrize("user", [{}, {"token": ""}, {"username": "only"}])
    def test_user_without_a_credential_is_rejected(self, tmp_path: Path, user: dict[str, str]) -> None:
        with pytest.raises((Forbidden, Invalid)):
            load(_write(tmp_path / "kubeconfig", user))

    def test_white_space_around_a_token_is_stripped(self, tmp_path: Path) -> None:
        assert load(_write(tmp_path / "kubeconfig", {"token": "t\n"})).authorization() == "Bearer t"

    def test_token_file_takes_precedence_over_token(self, tmp_path: Path) -> None:
        (tmp_path / "token").write_text("of-the-file\n")
        found = load(_write(tmp_path / "kubeconfig", {"token": "written", "tokenFile": "token"}))
        assert found.authorization() == "Bearer of-the-file"


class TestCertificates:
    @pytest.fixture
    def pair(self, tmp_path: Path) -> tuple[Path, Path]:
        return Authority(tmp_path / "pki").issue("admin", "/O=system:masters/CN=admin", CLIENT)

    def test_embedded_certificates_leave_no_file(
        self, tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scratch = tmp_path / "scratch"
        scratch.mkdir()
        monkeypatch.setattr(access, "_MEMORY", str(scratch))
        monkeypatch.setattr(tempfile, "tempdir", str(scratch))
        certificate, key = (base64.b64encode(path.read_bytes()).decode() for path in pair)
        authority = base64.b64encode((tmp_path / "pki" / "ca.crt").read_bytes()).decode()
        user = {"client-certificate-data": certificate, "client-key-data": key}
        path = _write(tmp_path / "kubeconfig", user, **{"certificate-authority-data": authority})
        for _ in range(2):  # the client remembers the deleted file
            found = load(path)
            assert presented(found.tls, tmp_path / "pki") == pair[0]
            assert credentials(path).as_ssl_context() is not None
            assert not list(scratch.iterdir())

    def test_relative_paths_start_at_the_kubeconfig(self, tmp_path: Path, pair: tuple[Path, Path]) -> None:
        user = {"client-certificate": "pki/admin.crt", "client-key": "pki/admin.key"}
        info = credentials(_write(tmp_path / "kubeconfig", user, **{"certificate-authority": "pki/ca.crt"}))
        assert presented(info.as_ssl_context(), tmp_path / "pki") == pair[0]

    def test_text_before_a_certificate_is_ignored(self, tmp_path: Path, pair: tuple[Path, Path]) -> None:
        authority = tmp_path / "pki" / "ca.crt"
        authority.write_text(f"Certificat d'autorité\n{authority.read_text()}")
        info = credentials(_write(tmp_path / "kubeconfig", {"token": "t"}, **{"certificate-authority": str(authority)}))
        assert info.as_ssl_context().get_ca_certs()

    def test_insecure_skip_tls_verify(self, tmp_path: Path) -> None:
        path = _write(tmp_path / "kubeconfig", {"token": "t"}, **{"insecure-skip-tls-verify": True})
        assert load(path).tls.verify_mode == ssl.CERT_NONE
        assert credentials(path).as_ssl_context().verify_mode == ssl.CERT_NONE

    @pytest.mark.parametrize(("name", "is_accepted"), [(SERVER_NAME, True), ("kube.example.net", False), (None, False)])
    def test_server_is_known_by_its_tls_server_name(
        self, tmp_path: Path, pair: tuple[Path, Path], name: str | None, is_accepted: bool
    ) -> None:
        user = {"client-certificate": str(pair[0]), "client-key": str(pair[1])}
        cluster = {"certificate-authority": "pki/ca.crt"} | ({"tls-server-name": name} if name else {})
        info = credentials(_write(tmp_path / "kubeconfig", user, **cluster))
        with nullcontext() if is_accepted else pytest.raises(ssl.SSLCertVerificationError):
            assert presented(info.as_ssl_context(), tmp_path / "pki", "192.0.2.10") == pair[0]


class TestPlugins:
    def test_plugin_runs_again_before_its_token_expires(self, tmp_path: Path) -> None:
        soon = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = load(_write(tmp_path / "kc", _plugin(tmp_path, {"token": "first", "expirationTimestamp": soon})))
        _plugin(tmp_path, {"token": "second"})
        assert found.authorization() == "Bearer second"

    def test_plugin_runs_once_for_a_token_without_expiry(self, tmp_path: Path) -> None:
        found = load(_write(tmp_path / "kc", _plugin(tmp_path, {"token": "first"})))
        assert [found.authorization() for _ in range(3)] == ["Bearer first"] * 3
        assert _runs(tmp_path) == 1

    def test_plugin_returns_a_certificate(self, tmp_path: Path) -> None:
        authority = Authority(tmp_path / "pki")
        certificate, key = authority.issue("admin", "/CN=admin", CLIENT)
        credential = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
        cluster = {"certificate-authority": str(authority.certificate)}
        found = load(_write(tmp_path / "kc", _plugin(tmp_path, credential), **cluster))
        assert found.authorization() is None
        assert presented(found.tls, tmp_path / "pki") == certificate

    def test_failed_plugin_is_an_error(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        user = {"exec": {"apiVersion": API_VERSION, "command": "false"}}
        with caplog.at_level(logging.ERROR), pytest.raises(Forbidden, match="its exec plugin failed"):
            load(_write(tmp_path / "kubeconfig", user))
        assert "process returned 1" in caplog.text


class TestPods:
    @pytest.fixture
    def account(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The directory of a pod's service account."""
        authority = Authority(tmp_path)
        authority.issue("unused", "/CN=unused", CLIENT)
        (tmp_path / "token").write_text("first\n")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
        return tmp_path

    def test_token_of_a_pod_is_read_for_each_request(self, account: Path) -> None:
        found = load(None)
        assert found.configuration.host == "https://[fd00::1]:443"
        (authority,) = found.tls.get_ca_certs(binary_form=True)
        assert ssl.DER_cert_to_PEM_cert(authority) == (account / "ca.crt").read_text()
        for token in ("first", "second"):
            (account / "token").write_text(f"{token}\n")
            assert found.authorization() == f"Bearer {token}"
            assert credentials(None).as_http_headers() == {"Authorization": f"Bearer {token}"}

    def test_outside_a_pod_a_kubeconfig_is_required(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(Invalid, match="does not run in a pod"):
            require(None)
