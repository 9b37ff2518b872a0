"""Whatever a file contains: it is read, or refused by a sentence; and only what was sealed is opened."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.peerkubeconfig import PeerCredential
from isthmus.plugin.core.bundles.bundle import BadBundle, Header, Type, open_bundle, parse, seal
from isthmus.plugin.core.bundles.code import RANDOM_BYTES, InvalidCode, PairingCode
from isthmus.plugin.core.bundles.known import Known, Own
from isthmus.plugin.core.bundles.servers import BadServer, checked
from isthmus.plugin.core.bundles.terms import BadTerms, Proposals, Terms, Tunnel

NONCES = st.binary(min_size=32, max_size=32)
CODES = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES).map(PairingCode.new)
CLOUDS = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", fullmatch=True)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(9999, 12, 31)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
HEADERS = st.builds(Header, st.sampled_from(Type), CLOUDS, CLOUDS, TIMES, NONCES, NONCES)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = ("format", "version", "type", "from", "to", "expires", "invitation", "nonce", "sealed", "mac")
HEADER = Header(Type.INVITATION, "cloud-a", "cloud-b", datetime(2026, 1, 1, tzinfo=UTC), b"i" * 32, b"i" * 32)
PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
TERMS = Terms("https://192.0.2.10:6443", ("192.0.2.0/24",), Tunnel(), Proposals(), PEM, "token")
CODE = PairingCode.new(bytes(RANDOM_BYTES))


@given(HEADERS, st.binary(max_size=5000), CODES)
def test_what_was_sealed_is_opened(header: Header, terms: bytes, code: PairingCode) -> None:
    bundle = parse(seal(header, terms, code))
    assert bundle.header == header
    assert open_bundle(bundle, code) == terms


@given(HEADERS, st.binary(max_size=50), CODES, CODES)
def test_only_its_code_opens_a_bundle(header: Header, terms: bytes, code: PairingCode, other: PairingCode) -> None:
    bundle = parse(seal(header, terms, code))
    if other != code:
        with pytest.raises(BadBundle):
            open_bundle(bundle, other)


@given(st.data())
def test_every_change_of_a_byte_is_noticed(data: st.DataObject) -> None:
    content = seal(HEADER, TERMS.to_bytes(), CODE)
    position = data.draw(st.integers(0, len(content) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != content[position]))
    replaced = content[:position] + bytes([byte]) + content[position + 1 :]
    removed = content[:position] + content[position + 1 :]
    added = content[:position] + bytes([byte]) + content[position:]
    for changed in (replaced, removed, added, content[:position]):
        with pytest.raises(BadBundle):
            open_bundle(parse(changed), CODE)


@given(st.binary(max_size=300) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    with pytest.raises(BadBundle):
        parse(content)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: Any) -> None:
    document = json.loads(seal(HEADER, b"terms", CODE))
    if document[field] == value:
        return
    with pytest.raises(BadBundle):
        open_bundle(parse(json.dumps(document | {field: value}, indent=1).encode() + b"\n"), CODE)


@given(JSON | st.dictionaries(st.sampled_from(list(json.loads(TERMS.to_bytes()))), JSON))
def test_any_terms_are_read_or_refused(document: Any) -> None:
    """The other cloud's administrators have the code as well."""
    changed = json.loads(TERMS.to_bytes()) | document if isinstance(document, dict) else document
    try:
        terms = Terms.parse(json.dumps(changed).encode())
    except BadTerms:
        return
    assert PeerCredential.parse(terms.kubeconfig("isthmus-peer-cloud-b").encode()).token == terms.token
    assert Terms.parse(terms.to_bytes()) == terms


@given(st.text(max_size=60) | st.text(max_size=30).map(lambda rest: f"https://{rest}"))
def test_any_server_is_one_that_a_controller_takes_or_refused(server: str) -> None:
    try:
        checked(server)
    except BadServer:
        return
    terms = Terms(server, ("192.0.2.0/24",), Tunnel(), Proposals(), PEM, "token")
    assert PeerCredential.parse(terms.kubeconfig("isthmus-peer-cloud-b").encode()).host


@given(CODES)
def test_code_is_typed_as_it_is_shown(code: PairingCode) -> None:
    assert PairingCode.parse(code.text()) == code


@given(CODES, st.integers(0, 27), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_mistyped_character_is_noticed_or_makes_another_code(code: PairingCode, position: int, typed: str) -> None:
    whole = code.text().replace("-", "")
    try:
        found = PairingCode.parse(whole[:position] + typed + whole[position + 1 :])
    except InvalidCode:
        assert whole[position] != typed
        return
    assert (found == code) == (whole[position] == typed)


@given(st.text(max_size=40))
def test_any_code_is_read_or_refused(typed: str) -> None:
    with contextlib.suppress(InvalidCode):
        PairingCode.parse(typed)


@given(st.lists(st.fixed_dictionaries({"kind": st.sampled_from(["CloudPeer", "IPsecPolicy"]), "spec": JSON})))
def test_objects_of_any_shape_are_read(items: list[dict[str, Any]]) -> None:
    known = Known.parse(Own("cloud-a", ("192.0.2.0/24",)), items)
    known.require_no_peer("cloud-b")
    known.require_apart("cloud-b", ("198.51.100.0/24",))
