"""Invitation, answer and pairing code: who can make, read and use them."""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.plugin.core.bundles.bundle import BadBundle, Header, Type, open_bundle, parse, pre_shared_key, seal
from isthmus.plugin.core.bundles.cipher import derive, encrypt, expand, extract
from isthmus.plugin.core.bundles.code import InvalidCode, PairingCode
from isthmus.plugin.core.bundles.headers import check_answer, check_invitation
from isthmus.plugin.core.bundles.known import Own
from isthmus.plugin.core.bundles.terms import Proposals, Terms, Tunnel

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CODE = PairingCode.new(bytes(range(17)))
OTHER = PairingCode.new(bytes(range(1, 18)))
INVITATION = Header(Type.INVITATION, "cloud-a", "cloud-b", NOW + timedelta(hours=72), b"i" * 32, b"i" * 32)
ANSWER = Header(Type.ANSWER, "cloud-b", "cloud-a", NOW + timedelta(hours=72), b"i" * 32, b"n" * 32)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TERMS = Terms("https://192.0.2.10:6443", ("192.0.2.0/24",), Tunnel(), Proposals(), PEM, "eyJ.abc.d-_")
OWN = Own("cloud-b", ("198.51.100.0/24",))


@pytest.mark.parametrize(
    ("key_material", "salt", "info", "length", "pseudorandom_key", "output"),
    [
        (
            b"\x0b" * 22,
            bytes(range(13)),
            bytes(range(0xF0, 0xFA)),
            42,
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            b"\x0b" * 22,
            b"",
            b"",
            42,
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
)
def test_keys_are_those_of_rfc_5869(
    key_material: bytes, salt: bytes, info: bytes, length: int, pseudorandom_key: str, output: str
) -> None:
    """Test cases 1 and 3 of its appendix A."""
    assert extract(salt, key_material).hex() == pseudorandom_key
    assert expand(bytes.fromhex(pseudorandom_key), info, length).hex() == output


def test_keys_differ_by_purpose_and_context() -> None:
    derived = [derive(b"k", "one", b"a", b"bc"), derive(b"k", "one", b"ab", b"c"), derive(b"k", "two", b"a", b"bc")]
    derived += [derive(b"l", "one", b"a", b"bc"), derive(b"k", "one", b"abc")]
    assert len(set(derived)) == len(derived)


def test_format_is_that_of_the_documentation() -> None:
    """By docs/bundles.md alone, with what Python has: another release must read what this one wrote."""

    def key(purpose: str, *context: bytes) -> bytes:
        parts = b"".join(len(part).to_bytes(2, "big") + part for part in (purpose.encode(), *context))
        root = hmac.digest(b"i" * 32, CODE.text().replace("-", "")[:26].encode(), "sha256")
        return hmac.digest(root, b"isthmus.cloud/bundle/1" + parts + b"\1", "sha256")

    terms, context = b"terms" * 9, (b"Answer", b"cloud-b", b"cloud-a", b"n" * 32)
    encryption = key("encryption", *context)
    keystream = b"".join(hmac.digest(encryption, number.to_bytes(8, "big"), "sha256") for number in range(2))
    document = {
        "format": "isthmus.cloud/bundle",
        "version": 1,
        "type": "Answer",
        "from": "cloud-b",
        "to": "cloud-a",
        "expires": "2026-01-04T00:00:00Z",
        "invitation": base64.b64encode(b"i" * 32).decode(),
        "nonce": base64.b64encode(b"n" * 32).decode(),
        "sealed": base64.b64encode(bytes(a ^ b for a, b in zip(terms, keystream, strict=False))).decode(),
    }
    mac = hmac.digest(key("authentication", *context), json.dumps(document).encode(), "sha256")
    expected = json.dumps(document | {"mac": base64.b64encode(mac).decode()}, indent=1) + "\n"
    assert seal(ANSWER, terms, CODE).decode() == expected
    assert pre_shared_key(ANSWER, CODE) == key("pre-shared key", b"cloud-a", b"cloud-b").hex()


def test_both_sides_derive_the_same_key() -> None:
    assert pre_shared_key(INVITATION, CODE) == pre_shared_key(ANSWER, CODE)
    assert re.fullmatch("[0-9a-f]{64}", pre_shared_key(INVITATION, CODE))
    others = [(replace(INVITATION, invitation=b"j" * 32), CODE), (INVITATION, OTHER)]
    others += [(replace(INVITATION, receiver="cloud-c"), CODE), (replace(INVITATION, type=Type.ANSWER), CODE)]
    assert pre_shared_key(INVITATION, CODE) not in {pre_shared_key(*each) for each in others}


def test_terms_are_sealed_for_whoever_has_the_code() -> None:
    content = seal(INVITATION, TERMS.to_bytes(), CODE)
    bundle = parse(content)
    assert bundle.header == INVITATION
    assert Terms.parse(open_bundle(bundle, CODE)) == TERMS
    assert not [secret for secret in ("eyJ", CODE.text(), pre_shared_key(INVITATION, CODE)) if secret in str(content)]
    with pytest.raises(BadBundle, match=r"^the pairing code is not that of this file"):
        open_bundle(bundle, OTHER)


def test_no_keystream_is_used_twice() -> None:
    """Answers to one invitation, and the invitation, have different nonces and so different keys."""
    zeros = bytes(64)
    sealed = {parse(seal(h, zeros, CODE)).sealed for h in (INVITATION, ANSWER, replace(ANSWER, nonce=b"m" * 32))}
    assert len(sealed) == 3
    assert len({block for each in sealed for block in (each[:32], each[32:])}) == 6
    assert encrypt(b"k", b"") == b""


def test_an_answer_is_no_invitation() -> None:
    """A file cannot be reflected to its sender as the other type: the keys differ by type, sender and receiver."""
    document = json.loads(seal(INVITATION, b"terms", CODE))
    for changed in ({"type": "Answer"}, {"type": "Answer", "from": "cloud-b", "to": "cloud-a"}, {"to": "cloud-c"}):
        with pytest.raises(BadBundle, match="pairing code"):
            open_bundle(parse(_written(document | changed)), CODE)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "no invitation and no answer"),
        (b"\xff\xfe", "no invitation and no answer"),
        (b"[]", "no invitation and no answer"),
        (b"{}", "no invitation and no answer"),
        (b"[" * 100_000, "no invitation and no answer"),
        (b"{" + b" " * 300_000, "too large"),
    ],
)
def test_another_file_is_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(BadBundle, match=sentence):
        parse(content)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 0},
        {"version": True},
        {"version": "1"},
        {"type": "Letter"},
        {"from": "Cloud A"},
        {"from": None},
        {"expires": "tomorrow"},
        {"expires": "2026-01-04T00:00:00+00:00"},
        {"expires": 5},
        {"nonce": "AAAA"},
        {"nonce": "not base64"},
        {"mac": "é"},
        {"sealed": ["x"]},
        {"more": "x"},
    ],
)
def test_malformed_field_is_a_sentence(changed: dict[str, Any]) -> None:
    with pytest.raises(BadBundle, match=r"^the file was changed after it was written, or is not complete"):
        parse(_written(json.loads(seal(INVITATION, b"terms", CODE)) | changed))


def test_newer_format_is_a_sentence() -> None:
    newer = _written({"format": "isthmus.cloud/bundle", "version": 2, "anything": "else"})
    with pytest.raises(BadBundle, match=r"^the file has format 2 of a newer release, and this plugin reads format 1"):
        parse(newer)


@pytest.mark.parametrize(
    ("header", "own", "sentence"),
    [
        (ANSWER, "cloud-a", "the file is an answer and no invitation: kubectl isthmus accept takes it"),
        (INVITATION, "cloud-a", "the invitation is your own: it is for the administrator of cloud-b"),
        (INVITATION, "cloud-c", "the invitation is for cloud-b, and this is cloud-c"),
        (replace(INVITATION, expires=NOW), "cloud-b", "the invitation expired at 2026-01-01 00:00 UTC: ask cloud-a"),
    ],
)
def test_invitation_that_is_not_for_us(header: Header, own: str, sentence: str) -> None:
    check_invitation(INVITATION, "cloud-b", NOW)
    with pytest.raises(BadBundle, match=f"^{sentence}"):
        check_invitation(header, own, NOW)


@pytest.mark.parametrize(
    ("header", "own", "sentence"),
    [
        (INVITATION, "cloud-a", "the file is your own invitation: accept takes the answer of cloud-b to it"),
        (INVITATION, "cloud-b", "the file is an invitation and no answer: kubectl isthmus join takes it"),
        (ANSWER, "cloud-b", "the answer is your own: it is for the administrator of cloud-a"),
        (ANSWER, "cloud-c", "the answer is for cloud-a, and this is cloud-c"),
        (replace(ANSWER, expires=NOW), "cloud-a", "the answer expired at 2026-01-01 00:00 UTC: ask cloud-b"),
    ],
)
def test_answer_that_is_not_for_us(header: Header, own: str, sentence: str) -> None:
    check_answer(ANSWER, "cloud-a", NOW)
    with pytest.raises(BadBundle, match=f"^{sentence}"):
        check_answer(header, own, NOW)


def test_code_is_typed_as_it_is_heard() -> None:
    shown = CODE.text()
    assert re.fullmatch("([0-9A-HJKMNP-TV-Z]{4}-){6}[0-9A-HJKMNP-TV-Z]{4}", shown)
    typed = shown.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert PairingCode.parse(f" {typed}\n") == CODE
    assert CODE.characters not in repr(CODE)
    assert len(set(map(PairingCode.new, (bytes([n]) * 17 for n in range(256))))) == 256
    with pytest.raises(ValueError, match="17 bytes"):
        PairingCode.new(b"short")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "a pairing code has 28 letters and digits, and this one has 0"),
        (CODE.text()[:-1], "a pairing code has 28 letters and digits, and this one has 27"),
        (CODE.text()[:-1] + "!", "the pairing code has a character that no pairing code has"),
        (CODE.text()[:-1] + "U", "the pairing code has a character that no pairing code has"),
        ("1" + CODE.text()[1:], "the pairing code has a typing mistake"),
    ],
)
def test_mistyped_code_is_a_sentence_without_the_code(typed: str, sentence: str) -> None:
    with pytest.raises(InvalidCode, match=f"^{sentence}") as caught:
        PairingCode.parse(typed)
    assert not typed or typed not in str(caught.value)


def _written(document: dict[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
