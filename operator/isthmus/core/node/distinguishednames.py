"""Names of CAs as charon compares them: by the octets of their values, whatever types of strings these are."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

Subject = tuple[tuple[bytes, bytes], ...]
"""OIDs and values, as they are encoded in DER, in lower case and in no particular order."""

_LONG = 0x80  # the length is in as many octets as the other bits say (X.690, 8.1.3.5)


def alike(name: x509.Name) -> Subject:
    """What is equal for all names that charon might take for equal: it ignores the case of some ASCII letters.

    ValueError if the name cannot be encoded.
    """
    found = []
    for rdns in _contents(name.public_bytes()):
        for attributes in _contents(rdns):
            for attribute in _contents(attributes):
                oid, value = _contents(attribute)
                found.append((oid, value.lower()))
    return tuple(sorted(found))


def _contents(encoded: bytes) -> Iterator[bytes]:
    """The contents of elements in DER, one after another."""
    while encoded:
        length, begin = encoded[1], 2
        if length & _LONG:
            begin += length & ~_LONG
            length = int.from_bytes(encoded[2:begin], "big")
        yield encoded[begin : begin + length]
        encoded = encoded[begin + length :]
