"""What Secrets hold for IKE: entries of one for all gateways, and of one for this gateway, which win."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from isthmus.model import names
from isthmus.model.node.inputs import CertificateEntries, Key

Secrets = Mapping[str, Mapping[str, Any]]
"""Manifests by name."""


def pre_shared_key(secrets: Secrets, name: str, node: str) -> Key | None:
    """The pre-shared key; None if there is none, or if it is not base64."""
    for secret in _both(secrets, name, node):
        if names.PSK_KEY in _data(secret):
            content = _entry(secret, names.PSK_KEY)
            return Key(content, _version(secret)) if content is not None else None
    return None


def certificates(secrets: Secrets, name: str, node: str) -> CertificateEntries | None:
    """What there is for certificates; None if there is no such Secret. A certificate and its key are of one Secret."""
    found = tuple(_both(secrets, name, node))
    if not found:
        return None
    own = next((secret for secret in found if names.CERTIFICATE_KEY in _data(secret)), found[0])
    return CertificateEntries(
        certificate=_entry(own, names.CERTIFICATE_KEY) or b"",
        private_key=_entry(own, names.PRIVATE_KEY_KEY) or b"",
        authorities=_first(found, names.AUTHORITIES_KEY),
        revocation_lists=_first(found, names.REVOCATION_KEY),
        version="/".join(_version(secret) for secret in found),
    )


def _both(secrets: Secrets, name: str, node: str) -> Iterator[Mapping[str, Any]]:
    """The Secret of this gateway, if there is one, then that of all."""
    return (secrets[each] for each in (f"{name}-{node}", name) if each in secrets)


def _first(found: tuple[Mapping[str, Any], ...], entry: str) -> bytes:
    return next((content for secret in found if (content := _entry(secret, entry))), b"")


def _entry(secret: Mapping[str, Any], entry: str) -> bytes | None:
    """None if it is missing or not base64."""
    try:
        return base64.b64decode(_data(secret)[entry], validate=True)
    except (KeyError, TypeError, binascii.Error):
        return None


def _data(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    return secret.get("data") or {}


def _version(secret: Mapping[str, Any]) -> str:
    return str(secret["metadata"]["resourceVersion"])
