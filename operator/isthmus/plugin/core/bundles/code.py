"""The pairing code: 130 random bits as 26 letters and digits, and two more by which a mistake is noticed.

The alphabet is Crockford's base 32 (https://www.crockford.com/base32.html): it has no I, L, O and U, and what is
heard or read as one of the first three is the digit that looks the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final

from ..refusals import Refused

RANDOM_BYTES: Final = 17
"""What a new code is made of; of its 136 bits 130 are used."""

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISTAKEN: Final = str.maketrans("ILO", "110")
_KEY_CHARACTERS: Final = 26
_CHECK_CHARACTERS: Final = 2
_LENGTH: Final = _KEY_CHARACTERS + _CHECK_CHARACTERS
_GROUP: Final = 4


class InvalidCode(Refused):
    """What was typed is no pairing code; the text says why, and never what was typed."""


@dataclass(frozen=True)
class PairingCode:
    """A pairing code without its check characters."""

    characters: str = field(repr=False)

    @classmethod
    def new(cls, random: bytes) -> PairingCode:
        """The code of that many random bytes: `RANDOM_BYTES`."""
        if len(random) != RANDOM_BYTES:
            raise ValueError(f"a pairing code is made of {RANDOM_BYTES} bytes")
        return cls(_characters(int.from_bytes(random, "big") >> 6, _KEY_CHARACTERS))

    @classmethod
    def parse(cls, text: str) -> PairingCode:
        """The code as somebody typed it, in any case, with or without hyphens and spaces. Raises InvalidCode."""
        typed = "".join(text.replace("-", " ").split()).upper().translate(_MISTAKEN)
        if len(typed) != _LENGTH:
            raise InvalidCode(f"a pairing code has {_LENGTH} letters and digits, and this one has {len(typed)}")
        if not set(typed) <= set(_ALPHABET):
            raise InvalidCode("the pairing code has a character that no pairing code has")
        characters = typed[:_KEY_CHARACTERS]
        if _check(characters) != typed[_KEY_CHARACTERS:]:
            raise InvalidCode("the pairing code has a typing mistake: its last two characters do not match the others")
        return cls(characters)

    @property
    def key(self) -> bytes:
        """The input keying material: the characters in ASCII, with 130 bits of entropy."""
        return self.characters.encode("ascii")

    def text(self) -> str:
        """The code as it is shown, in groups of four."""
        whole = self.characters + _check(self.characters)
        return "-".join(whole[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def _check(characters: str) -> str:
    """Ten bits of a digest: a mistake goes unnoticed in one of 1,024 cases, and is then found as a wrong code."""
    digest = hashlib.sha256(b"isthmus.cloud pairing code " + characters.encode("ascii")).digest()
    return _characters(int.from_bytes(digest[:2], "big") >> 6, _CHECK_CHARACTERS)


def _characters(number: int, count: int) -> str:
    return "".join(_ALPHABET[number >> 5 * position & 31] for position in reversed(range(count)))
