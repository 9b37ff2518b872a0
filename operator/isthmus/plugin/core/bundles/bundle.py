"""The file that travels: a readable header, the sealed terms, and an authentication code of both."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from ..refusals import Refused
from .cipher import NONCE_BYTES, authenticate, derive, encrypt, extract, is_authentic
from .code import PairingCode

VERSION: Final = 1
_FORMAT: Final = "isthmus.cloud/bundle"
_MAX_BYTES: Final = 256 * 1024
_MAC_BYTES: Final = 32
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_CLOUD_ID: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_CHANGED: Final = "the file was changed after it was written, or is not complete: ask for it again"


class BadBundle(Refused):
    """Why a file is refused, as a sentence."""


class Type(StrEnum):
    """Which of the two files it is."""

    INVITATION = "Invitation"
    ANSWER = "Answer"


@dataclass(frozen=True)
class Header:
    """What everybody can read who has the file."""

    type: Type
    sender: str
    """Cloud ID."""
    receiver: str
    """Cloud ID."""
    expires: datetime
    invitation: bytes = field(repr=False)
    """32 random bytes: the invitation's nonce, also in the answer to it."""
    nonce: bytes = field(repr=False)
    """32 random bytes of this very file; of an invitation the same."""

    @property
    def invitation_id(self) -> str:
        """The invitation's nonce as text: no secret."""
        return self.invitation.hex()


@dataclass(frozen=True)
class Bundle:
    """A file that is well-formed. Nothing in it is authentic before `open_bundle`."""

    header: Header
    sealed: bytes = field(repr=False)
    mac: bytes = field(repr=False)


def is_cloud_id(text: str) -> bool:
    """Whether it is a DNS label of at most 40 characters."""
    return _CLOUD_ID.fullmatch(text) is not None


def seal(header: Header, terms: bytes, code: PairingCode) -> bytes:
    """The content of a file. A nonce MUST be used for one file only."""
    root = extract(header.invitation, code.key)
    sealed = encrypt(_key(root, "encryption", header), terms)
    mac = authenticate(_key(root, "authentication", header), _authenticated(header, sealed))
    return _rendered(Bundle(header, sealed, mac))


def parse(content: bytes) -> Bundle:
    """A file as it was received. Raises BadBundle."""
    document = _document(content)
    version = document.get("version")
    if isinstance(version, int) and version > VERSION:
        raise BadBundle(
            f"the file has format {version} of a newer release, and this plugin reads format {VERSION}: use a newer one"
        )
    try:
        bundle = _bundle(document)
        is_unchanged = version == VERSION and _rendered(bundle) == content
    except (KeyError, TypeError, ValueError, OverflowError):
        raise BadBundle(_CHANGED) from None
    if not is_unchanged:
        raise BadBundle(_CHANGED)
    return bundle


def open_bundle(bundle: Bundle, code: PairingCode) -> bytes:
    """The terms, if both belong together. Raises BadBundle."""
    root = extract(bundle.header.invitation, code.key)
    key = _key(root, "authentication", bundle.header)
    if not is_authentic(key, _authenticated(bundle.header, bundle.sealed), bundle.mac):
        raise BadBundle("the pairing code is not that of this file, or the file was changed after it was written")
    return encrypt(_key(root, "encryption", bundle.header), bundle.sealed)


def pre_shared_key(header: Header, code: PairingCode) -> str:
    """The key of both clouds for IKE, 64 hexadecimal digits; the same from the invitation and from its answer."""
    clouds = (header.sender, header.receiver)
    inviting, invited = clouds if header.type == Type.INVITATION else reversed(clouds)
    root = extract(header.invitation, code.key)
    return derive(root, "pre-shared key", inviting.encode(), invited.encode()).hex()


def _key(root: bytes, purpose: str, header: Header) -> bytes:
    """Different for every file: by its nonce, and by who sends which type of file to whom."""
    return derive(root, purpose, header.type.encode(), header.sender.encode(), header.receiver.encode(), header.nonce)


def _document(content: bytes) -> dict[str, Any]:
    if len(content) > _MAX_BYTES:
        raise BadBundle("the file is too large for an invitation or an answer")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise BadBundle("the file is no invitation and no answer of kubectl isthmus, or is not complete") from None
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise BadBundle("the file is no invitation and no answer of kubectl isthmus")
    return document


def _bundle(document: dict[str, Any]) -> Bundle:
    header = Header(
        type=Type(document["type"]),
        sender=_cloud_id(document["from"]),
        receiver=_cloud_id(document["to"]),
        expires=datetime.strptime(document["expires"], _TIME).replace(tzinfo=UTC),
        invitation=_bytes(document["invitation"], NONCE_BYTES),
        nonce=_bytes(document["nonce"], NONCE_BYTES),
    )
    return Bundle(header, _bytes(document["sealed"]), _bytes(document["mac"], _MAC_BYTES))


def _cloud_id(text: str) -> str:
    if not is_cloud_id(text):
        raise ValueError("not a cloud ID")
    return text


def _bytes(text: str, length: int | None = None) -> bytes:
    try:
        value = base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("not base64") from None
    if length is not None and len(value) != length:
        raise ValueError("another length")
    return value


def _rendered(bundle: Bundle) -> bytes:
    """The one way to write a bundle: a file with another byte is another file."""
    document = _fields(bundle.header, bundle.sealed) | {"mac": base64.b64encode(bundle.mac).decode()}
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def _authenticated(header: Header, sealed: bytes) -> bytes:
    return json.dumps(_fields(header, sealed)).encode("ascii")


def _fields(header: Header, sealed: bytes) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "version": VERSION,
        "type": str(header.type),
        "from": header.sender,
        "to": header.receiver,
        "expires": f"{header.expires:{_TIME}}",
        "invitation": base64.b64encode(header.invitation).decode(),
        "nonce": base64.b64encode(header.nonce).decode(),
        "sealed": base64.b64encode(sealed).decode(),
    }
