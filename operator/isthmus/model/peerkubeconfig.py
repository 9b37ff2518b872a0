"""A peer's kubeconfig: another company's file, of which only known and harmless fields are used.

Fields that would run a program, read a local file, send requests through a proxy or skip the verification of the
server's certificate are refused by name. The fields are those of
https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import SplitResult

import yaml

from .kubeconfig import plain_url

_MAX_BYTES: Final = 64 * 1024
_MAX_DEPTH: Final = 16
_OPENING: Final = (
    yaml.FlowMappingStartToken,
    yaml.FlowSequenceStartToken,
    yaml.BlockMappingStartToken,
    yaml.BlockSequenceStartToken,
)
_CLOSING: Final = (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken, yaml.BlockEndToken)
_CLUSTER_FIELDS: Final = frozenset({"server", "tls-server-name", "certificate-authority-data"})
_USER_FIELDS: Final = frozenset({"token", "client-certificate-data", "client-key-data"})
_CONTEXT_FIELDS: Final = frozenset({"cluster", "user", "namespace"})
_IGNORED: Final = frozenset({"extensions", "disable-compression"})  # notes of tools, and a matter of speed
_HOST_NAME: Final = re.compile(
    r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?)*"
)


class InvalidKubeconfig(ValueError):
    """Why the file cannot be used; names the field, never its value."""


@dataclass(frozen=True)
class PeerCredential:
    """The address of a peer's API, and how server and client authenticate."""

    host: str
    port: int
    path: str
    """Path prefix before `/apis`; mostly empty."""
    authority: str | None = field(repr=False)
    """The server's certificate authority, PEM; None: the public authorities that this host trusts."""
    server_name: str = ""
    """Name that the server's certificate must have; empty: `host`."""
    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    """Client certificate and key, PEM; empty if there is a token."""

    @classmethod
    def parse(cls, content: bytes) -> PeerCredential:
        """The current context of a kubeconfig; raises InvalidKubeconfig."""
        document = _document(content)
        name = _text(document, "current-context")
        context = _only(_entry(document, "contexts", "context", name), _CONTEXT_FIELDS)
        cluster = _only(_entry(document, "clusters", "cluster", _text(context, "cluster")), _CLUSTER_FIELDS)
        user = _only(_entry(document, "users", "user", _text(context, "user")), _USER_FIELDS)
        url = _server(_text(cluster, "server"))
        token, certificate = _proof(user)
        return cls(
            host=url.hostname or "",
            port=url.port or 443,
            path=url.path.rstrip("/"),
            authority=_authority(cluster),
            server_name=_server_name(cluster),
            token=token,
            certificate=certificate,
        )


def _document(content: bytes) -> Mapping[str, Any]:
    if len(content) > _MAX_BYTES:
        raise InvalidKubeconfig(f"larger than {_MAX_BYTES} bytes")
    try:
        _check_shape(content)
        document = yaml.safe_load(content)
    except InvalidKubeconfig:
        raise
    except (yaml.YAMLError, ValueError):
        raise InvalidKubeconfig("not YAML") from None
    if not isinstance(document, dict):
        raise InvalidKubeconfig("not a kubeconfig")
    return document


def _check_shape(content: bytes) -> None:
    """With aliases a few bytes can mean millions, and deep nesting costs the parser the square of its depth."""
    depth = 0
    for token in yaml.scan(content):
        depth += isinstance(token, _OPENING) - isinstance(token, _CLOSING)
        if depth > _MAX_DEPTH:
            raise InvalidKubeconfig("nested too deeply")
        if isinstance(token, yaml.AliasToken):
            raise InvalidKubeconfig("YAML aliases are not allowed")


def _entry(document: Mapping[str, Any], plural: str, singular: str, name: str) -> Mapping[str, Any]:
    entries = document.get(plural)
    found = [e for e in entries if isinstance(e, dict) and e.get("name") == name] if isinstance(entries, list) else []
    if len(found) != 1 or not isinstance(found[0].get(singular), dict):
        raise InvalidKubeconfig(f"{plural}: not exactly one {singular} of the name that is asked for")
    inner: Mapping[str, Any] = found[0][singular]
    return inner


def _only(fields: Mapping[str, Any], allowed: frozenset[str]) -> Mapping[str, Any]:
    strange = sorted(str(name)[:64] for name, value in fields.items() if name not in allowed | _IGNORED and value)
    if strange:
        raise InvalidKubeconfig(f"field not allowed: {', '.join(strange)[:256]}")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidKubeconfig(f"field missing or not text: {name}")
    return value


def _server(text: str) -> SplitResult:
    url = plain_url(text)
    if url is None or not url.path.isascii():
        raise InvalidKubeconfig("server: not a plain https URL")
    return url


def _server_name(cluster: Mapping[str, Any]) -> str:
    name = cluster.get("tls-server-name") or ""
    if name and not (isinstance(name, str) and len(name) <= 253 and (_HOST_NAME.fullmatch(name) or _is_address(name))):
        raise InvalidKubeconfig("tls-server-name: not a host name")
    return str(name)


def _is_address(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version in (4, 6) and "%" not in text
    except ValueError:
        return False


def _authority(cluster: Mapping[str, Any]) -> str | None:
    if cluster.get("certificate-authority-data") is None:
        return None
    try:
        return _decoded(cluster, "certificate-authority-data").decode("ascii")
    except UnicodeDecodeError:
        raise InvalidKubeconfig("certificate-authority-data: not PEM") from None


def _proof(user: Mapping[str, Any]) -> tuple[str, bytes]:
    if "token" in user:
        token = _text(user, "token").strip()  # files end with a newline
        if not token or not token.isascii() or any(c <= " " for c in token):
            raise InvalidKubeconfig("token: not a bearer token")
        return token, b""
    return "", _decoded(user, "client-certificate-data") + b"\n" + _decoded(user, "client-key-data")


def _decoded(fields: Mapping[str, Any], name: str) -> bytes:
    try:
        return base64.b64decode("".join(_text(fields, name).split()), validate=True)  # it may be wrapped
    except (binascii.Error, ValueError) as error:
        if isinstance(error, InvalidKubeconfig):
            raise
        raise InvalidKubeconfig(f"{name}: not base64") from None
