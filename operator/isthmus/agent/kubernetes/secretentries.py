"""What Secrets hold for IKE: one for all gateways of this cloud, and one for this gateway alone, if there is any.

What the gateway authenticates itself by is taken from its own Secret first; what it checks the peer by, from that for
all first: cert-manager writes the CA of the certificate itself as `ca.crt` beside it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from isthmus.model import names
from isthmus.model.node.inputs import CertificateEntries, Key

Secrets = Mapping[str, Mapping[str, Any]]
"""Manifests by name."""


def pre_shared_key(secrets: Secrets, name: str, node: str, of_peers: Collection[str] = ()) -> Key | None:
    """The pre-shared key; None if there is none, or if it is not base64. `of_peers`: as in `certificates`."""
    for secret in _both(secrets, name, node, of_peers):
        if names.PSK_KEY in _data(secret):
            content = _entry(secret, names.PSK_KEY)
            return Key(content, _version(secret)) if content is not None else None
    return None


def certificates(secrets: Secrets, name: str, node: str, of_peers: Collection[str] = ()) -> CertificateEntries | None:
    """What there is for certificates; None if there is no such Secret. A certificate and its key are of one Secret.

    `of_peers` are the names that CloudPeers refer to: none of them is the Secret of a gateway, however it is named.
    """
    found = tuple(_both(secrets, name, node, of_peers))
    if not found:
        return None
    own = next((secret for secret in found if names.CERTIFICATE_KEY in _data(secret)), found[0])
    return CertificateEntries(
        certificate=_entry(own, names.CERTIFICATE_KEY) or b"",
        private_key=_entry(own, names.PRIVATE_KEY_KEY) or b"",
        authorities=_first(found[::-1], names.AUTHORITIES_KEY),
        revocation_lists=_first(found[::-1], names.REVOCATION_KEY),
        version="/".join(_version(secret) for secret in found),
    )


def _both(secrets: Secrets, name: str, node: str, of_peers: Collection[str]) -> Iterator[Mapping[str, Any]]:
    """The Secret of this gateway, if there is one, then that of all."""
    own = f"{name}-{node}"
    return (secrets[each] for each in (own, name) if each in secrets and (each == name or each not in of_peers))


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
