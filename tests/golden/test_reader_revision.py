"""Whoever changes what is read of a peer must say so, or what an older release has stored is never read again."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from isthmus.model.api.schema import crd_of
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.facts import tolerance
from isthmus.model.protocol import READ_AS

# By revision: add one line with the new digest and raise READ_AS. Lines of released revisions are never changed.
DIGESTS = {
    2: "910387f28bad50b2",
    3: "436c34a9eeed687a",
    4: "fcd1b4229914d1f4",
    5: "c73da6b5463ec602",
    6: "cb541ea2f2f0a3ee",
    7: "b1ddebfe0e4065c2",
    8: "391d9234cefa58de",
    9: "a9164626b26df382",
    10: "32cbd4f754b635ae",
    11: "b145009bf44c26ae",
    12: "09b89660b0c93eca",
}


def _without_texts(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: _without_texts(value) for key, value in schema.items() if key not in {"description", "message"}}
    return [_without_texts(item) for item in schema] if isinstance(schema, list) else schema


def test_revision_is_raised_with_what_is_read() -> None:
    kinds = (PeerLink, ExpansionLink)  # of these the controller stores what it has read
    specs = [crd_of(k)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"] for k in kinds]
    rules = {kind.__name__: {field: repr(rule) for field, rule in r.items()} for kind, r in tolerance._RULES.items()}
    text = json.dumps([_without_texts(specs), rules], sort_keys=True)
    assert DIGESTS.get(READ_AS) == sha256(text.encode()).hexdigest()[:16], "raise READ_AS and add its digest"
