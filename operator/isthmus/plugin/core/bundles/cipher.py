"""Keys from a pairing code, and authenticated encryption with them, of the standard library's HMAC alone.

- Keys: HKDF with SHA-256 (RFC 5869).
- Encryption: HMAC-SHA-256 of a counter as keystream, which is counter mode with a pseudorandom function (Bellare,
  Desai, Jokipii, Rogaway 1997). A key encrypts one message only.
- Authentication: HMAC-SHA-256 (RFC 2104) of the ciphertext and of what is associated with it: encrypt-then-MAC
  (Bellare, Namprempre 2000; RFC 7366), with another key.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_HASH: Final = "sha256"
_HASH_BYTES: Final = hashlib.sha256().digest_size
_DOMAIN: Final = b"isthmus.cloud/bundle/1"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 32


def extract(salt: bytes, key_material: bytes) -> bytes:
    """HKDF-Extract (RFC 5869, section 2.2)."""
    return hmac.digest(salt or bytes(_HASH_BYTES), key_material, _HASH)


def expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869, section 2.3) of at most 8,160 bytes."""
    if length > 255 * _HASH_BYTES:
        raise ValueError("HKDF-Expand is for at most 255 blocks")
    output, block = b"", b""
    for counter in range(1, -(-length // _HASH_BYTES) + 1):
        block = hmac.digest(key, block + info + bytes([counter]), _HASH)
        output += block
    return output[:length]


def derive(key: bytes, purpose: str, *context: bytes) -> bytes:
    """The key for one purpose; each part of the context goes in with its length, so that no two are confused."""
    parts = b"".join(len(part).to_bytes(2, "big") + part for part in (purpose.encode("ascii"), *context))
    return expand(key, _DOMAIN + parts, KEY_BYTES)


def encrypt(key: bytes, message: bytes) -> bytes:
    """The ciphertext; the same again is the message. A key MUST encrypt one message only."""
    blocks = (hmac.digest(key, number.to_bytes(8, "big"), _HASH) for number in range(-(-len(message) // _HASH_BYTES)))
    keystream = b"".join(blocks)[: len(message)]
    return bytes(one ^ other for one, other in zip(message, keystream, strict=True))


def authenticate(key: bytes, message: bytes) -> bytes:
    """The message's authentication code."""
    return hmac.digest(key, message, _HASH)


def is_authentic(key: bytes, message: bytes, code: bytes) -> bool:
    """Whether the authentication code is that of the message; takes the same time for every wrong one."""
    return hmac.compare_digest(authenticate(key, message), code)
