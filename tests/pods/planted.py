"""Secrets of two clouds that have agreed, and the forms in which something could contain them."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import yaml

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import IPSEC, SYSTEM

# Characters of base64 that other bytes before the secret take part in, by their number modulo 3.
_SHARED: Final = (0, 2, 3)

Forms = Mapping[str, tuple[bytes, ...]]


def planted(federation: Federation) -> dict[str, str]:
    """All secrets of the agreement and of the operators, by a name."""
    code = federation.pairing_code
    found = {"pairing code": code, "pairing code without dashes": code.replace("-", "")}
    for ours, theirs in ((federation.a, federation.b), (federation.b, federation.a)):
        cloud, peer = ours.cloud, theirs.cloud.cloud_id
        found[f"pre-shared key in {cloud.cloud_id}"] = _secret(cloud, IPSEC, peer, "psk")
        found[f"Keystone password in {cloud.cloud_id}"] = _password(cloud)
        found[f"token for {peer}"] = _token(_secret(cloud, SYSTEM, peer, "kubeconfig"))
    short = [name for name, secret in found.items() if len(secret) < 16]
    if short:
        raise LookupError(f"no secrets, or too short to be looked for: {', '.join(short)}")
    return found


def forms(secrets: Mapping[str, str]) -> Forms:
    """Every secret as it is, as base64 within other bytes, in hexadecimal digits, and as part of a URL."""
    return {name: tuple(dict.fromkeys(_forms(secret.encode()))) for name, secret in secrets.items()}


def names_in(text: bytes, looked_for: Forms) -> set[str]:
    """Names of the secrets that a text contains."""
    return {name for name, each in looked_for.items() if any(form in text for form in each)}


def found_in(contents: Iterable[tuple[str, bytes]], looked_for: Forms) -> set[tuple[str, str]]:
    """Places and names of secrets, among pairs of a place and its content."""
    return {(place, name) for place, content in contents for name in names_in(content, looked_for)}


def _forms(secret: bytes) -> Iterator[bytes]:
    yield secret
    for before, shared in enumerate(_SHARED):
        encoded = base64.b64encode(bytes(before) + secret).rstrip(b"=")
        # The last character has bits of what follows.
        yield encoded[shared : len(encoded) - ((before + len(secret)) % 3 != 0)]
    yield secret.hex().encode()
    yield quote(secret, safe="").encode()


def _secret(cloud: Cloud, namespace: str, peer: str, key: str) -> str:
    read = json.loads(cloud.kubectl("get", "secret", "-n", namespace, f"peer-{peer}", "-o", "json"))
    return base64.b64decode(read["data"][key]).decode()


def _token(kubeconfig: str) -> str:
    document: dict[str, Any] = yaml.safe_load(kubeconfig)
    return str(document["users"][0]["user"]["token"])


def _password(cloud: Cloud) -> str:
    (entry,) = json.loads(cloud.clouds_yaml())["clouds"].values()
    return str(entry["auth"]["password"])
