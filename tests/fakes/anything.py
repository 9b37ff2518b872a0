"""Text and documents as another company, a tenant, another release or an attacker may have written them."""

from __future__ import annotations

import re
from typing import Any, Final

from hypothesis import strategies as st

from isthmus.model.api.kinds import KINDS

HOSTILE_TEXT: Final = st.text(st.characters(categories=None), max_size=60)
MOVES_CURSOR: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What a terminal does not show as a character of its own, or what turns the order of others round."""
_NAMES: Final = ("kind", "metadata", "spec", "status", "conditions", "connections", "peers", "links", "name")
_VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner),
)


def _of_every_kind(value: Any) -> list[dict[str, Any]]:
    parts = dict.fromkeys(("metadata", "spec", "status"), value)
    return [{"kind": kind.registration.kind, **parts} for kind in KINDS]


OF_ANY_SHAPE: Final = _VALUES.map(_of_every_kind)
"""An object of every kind whose parts have any shape."""
