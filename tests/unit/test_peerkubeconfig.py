"""A peer's kubeconfig comes from another organisation: fields that are not allowed are refused by name."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest
import yaml

from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential

SECRET = "canary-2b1d"
PEM = base64.b64encode(b"-----BEGIN CERTIFICATE-----\n").decode()
GOOD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.10:6443", "certificate-authority-data": PEM}}],
    "users": [{"name": "u", "user": {"token": SECRET}}],
    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": "isthmus-peer-a"}}],
    "current-context": "x",
}


def _changed(part: str, **fields: object) -> bytes:
    document = copy.deepcopy(GOOD)
    document[part][0][part.removesuffix("s")] |= fields
    return yaml.safe_dump(document).encode()


def test_plain_kubeconfig_is_read() -> None:
    credential = PeerCredential.parse(yaml.safe_dump(GOOD).encode())
    assert (credential.host, credential.port, credential.path) == ("192.0.2.10", 6443, "")
    assert credential.token == SECRET
    assert SECRET not in repr(credential)


def test_client_certificate_is_read() -> None:
    user = {"token": None, "client-certificate-data": PEM, "client-key-data": PEM}
    document = copy.deepcopy(GOOD)
    document["users"][0]["user"] = {k: v for k, v in user.items() if v}
    credential = PeerCredential.parse(yaml.safe_dump(document).encode())
    assert credential.token == ""
    assert credential.certificate.count(b"BEGIN CERTIFICATE") == 2


def test_server_url_may_have_a_path() -> None:
    credential = PeerCredential.parse(_changed("clusters", server="https://api.example.org/clusters/a/"))
    assert (credential.host, credential.port, credential.path) == ("api.example.org", 443, "/clusters/a")


def test_tls_server_name_is_read() -> None:
    assert PeerCredential.parse(yaml.safe_dump(GOOD).encode()).server_name == ""
    for name in ("kubernetes.default.svc", "a" * 63 + ".example", "k8s_api", "192.0.2.10", "2001:db8::10"):
        assert PeerCredential.parse(_changed("clusters", **{"tls-server-name": name})).server_name == name


@pytest.mark.parametrize(
    "name", ["a b", "-a", "a\r\nHost: x", ".", "a..b", "x" * 64, "ä", "fe80::1%eth0", 12, ["a"], True]
)
def test_tls_server_name_must_be_a_host_name(name: object) -> None:
    with pytest.raises(InvalidKubeconfig, match="tls-server-name: not a host name"):
        PeerCredential.parse(_changed("clusters", **{"tls-server-name": name}))


@pytest.mark.parametrize("absent", [{"server": "https://api.example.org"}, {"certificate-authority-data": None}])
def test_missing_authority_means_the_public_ones(absent: dict[str, object]) -> None:
    document = copy.deepcopy(GOOD)
    document["clusters"][0]["cluster"] = {"server": "https://api.example.org"} | absent
    assert PeerCredential.parse(yaml.safe_dump(document).encode()).authority is None


def test_white_space_around_tokens_and_in_base64_is_ignored() -> None:
    assert PeerCredential.parse(_changed("users", token=f" {SECRET}\r\n")).token == SECRET
    wrapped = "\n".join(PEM[i : i + 8] for i in range(0, len(PEM), 8))
    assert PeerCredential.parse(_changed("clusters", **{"certificate-authority-data": wrapped})).authority


def test_disabled_unsafe_fields_are_accepted() -> None:
    assert PeerCredential.parse(_changed("clusters", **{"insecure-skip-tls-verify": False}))


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("users", "exec", {"command": "/bin/sh", "apiVersion": "client.authentication.k8s.io/v1"}),
        ("users", "auth-provider", {"name": "gcp"}),
        ("users", "tokenFile", "/etc/shadow"),
        ("users", "client-certificate", "/etc/shadow"),
        ("users", "client-key", "/etc/shadow"),
        ("users", "username", "admin"),
        ("users", "password", SECRET),
        ("users", "as", "system:admin"),
        ("users", "as-groups", ["system:masters"]),
        ("clusters", "certificate-authority", "/etc/shadow"),
        ("clusters", "proxy-url", "http://192.0.2.66"),
        ("clusters", "insecure-skip-tls-verify", True),
        ("clusters", "something-new", 1),
        ("contexts", "something-new", [{"name": "x"}]),
    ],
)
def test_unsafe_fields_are_refused_by_name(part: str, field: str, value: object) -> None:
    with pytest.raises(InvalidKubeconfig, match=field) as caught:
        PeerCredential.parse(_changed(part, **{field: value}))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "server",
    [
        "http://192.0.2.10",
        "https://",
        "https://user:password@192.0.2.10",
        "https://192.0.2.10:99999",
        "https://192.0.2.10/?x=1",
        "https://192.0.2.10/#x",
        "https://192.0.2.10/a b",
        "https://192.0.2.10/\r\nHost: x",
        "file:///etc/shadow",
    ],
)
def test_server_must_be_a_plain_https_url(server: str) -> None:
    with pytest.raises(InvalidKubeconfig, match="server"):
        PeerCredential.parse(_changed("clusters", server=server))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a kubeconfig"),
        (b"[]", "not a kubeconfig"),
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"a: !!python/object/apply:os.system ['true']", "not YAML"),
        (b"a: &a [x]\nb: [*a, *a]", "aliases"),
        (b"{" * 60_000, "nested too deeply"),
        (b"- " * 30_000, "nested too deeply"),
        (b"x" * 70_000, "larger than"),
        (b"current-context: [x]", "current-context"),
        (b"current-context: x", "contexts"),
    ],
)
def test_content_that_is_not_a_kubeconfig_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(InvalidKubeconfig, match=why):
        PeerCredential.parse(content)


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("users", "token", ""),
        ("users", "token", "two\r\nlines"),
        ("users", "token", " \n"),
        ("users", "token", 12),
        ("clusters", "certificate-authority-data", ""),
        ("clusters", "certificate-authority-data", "!"),
        ("clusters", "certificate-authority-data", base64.b64encode(b"\xff").decode()),
        ("contexts", "user", "somebody else"),
        ("contexts", "cluster", None),
    ],
)
def test_missing_or_malformed_fields_are_refused(part: str, field: str, value: object) -> None:
    with pytest.raises(InvalidKubeconfig):
        PeerCredential.parse(_changed(part, **{field: value}))


def test_duplicate_names_are_refused() -> None:
    document = copy.deepcopy(GOOD)
    document["users"].append({"name": "u", "user": {"token": "other"}})
    with pytest.raises(InvalidKubeconfig, match="users"):
        PeerCredential.parse(yaml.safe_dump(document).encode())
