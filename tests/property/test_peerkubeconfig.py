"""Whatever a peer's administrator hands over is either a valid credential or refused, and never quoted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.model.peerkubeconfig import InvalidKubeconfig, PeerCredential

CANARY = "canary-61af"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(CANARY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)
FIELDS = {
    "cluster": ["server", "tls-server-name", "certificate-authority-data", "extensions", "disable-compression"],
    "user": ["token", "client-certificate-data", "client-key-data", "extensions"],
    "context": ["cluster", "user", "namespace", "extensions"],
}


@st.composite
def _documents(draw: st.DrawFn) -> dict[str, Any]:
    good: dict[str, dict[str, Any]] = {
        "cluster": {"server": "https://192.0.2.10", "certificate-authority-data": "UEVN"},
        "user": {"token": CANARY},
        "context": {"cluster": "x", "user": "x"},
    }
    for part, fields in FIELDS.items():
        good[part] |= draw(st.dictionaries(st.sampled_from(fields) | st.text(max_size=10), VALUES, max_size=2))
    lists = {f"{part}s": [{"name": "x", part: fields}] for part, fields in good.items()}
    return {**lists, "current-context": "x", "preferences": draw(VALUES)}


def _parsed(content: bytes) -> PeerCredential | str:
    """The credential, or the reason why it was refused."""
    try:
        return PeerCredential.parse(content)
    except InvalidKubeconfig as refusal:
        return str(refusal)


@given(_documents())
def test_any_kubeconfig_is_a_credential_or_is_refused(document: dict[str, Any]) -> None:
    parsed = _parsed(json.dumps(document).encode())
    if isinstance(parsed, str):
        assert CANARY not in parsed
    else:
        assert parsed.host
        assert parsed.token == parsed.token.strip()
        assert not any(character.isspace() for character in parsed.server_name)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_credential_or_are_refused(content: bytes) -> None:
    parsed = _parsed(content)
    assert isinstance(parsed, PeerCredential) or 0 < len(parsed) < 512
