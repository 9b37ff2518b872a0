"""What the page of `topology --serve` asks for."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from ..answer import Unread
from ..diagnosis import UnknownTarget, diagnose
from ..diagnosis.subject import Readings
from .answer import topology

SCHEMA = "isthmus.cloud/topology-page/v1"


@dataclass(frozen=True)
class Observation:
    """The topology as it was read at one time, in JSON."""

    readings: Readings
    revision: str
    """Of the text: another one if anything that is shown has changed."""
    topology: str


def observation(readings: Readings, unread: tuple[Unread, ...]) -> Observation:
    """Of what was read just now."""
    text = json.dumps(topology(readings, unread).to_document(), sort_keys=True)
    return Observation(readings, hashlib.sha256(text.encode()).hexdigest()[:16], text)


def envelope(observed: Observation, known_revision: str, error: str, age_seconds: float) -> str:
    """The answer to the page: JSON, without the topology if the page has it already."""
    document = {
        "schema": SCHEMA,
        "revision": observed.revision,
        "error": error,
        "ageSeconds": round(age_seconds, 1),
    }
    text = json.dumps(document)
    return text if known_revision == observed.revision else f'{text[:-1]}, "topology": {observed.topology}}}'


def selection(readings: Readings, peer: str, network: str) -> dict[str, Any]:
    """What `diagnose` says of a peer, or of one network at that peer."""
    try:
        answer = diagnose(readings, network or peer, ())
    except UnknownTarget as error:
        return {"schema": SCHEMA, "error": str(error), "subjects": []}
    subjects = [subject for subject in answer.document["subjects"] if subject["peer"] == peer]
    return {"schema": SCHEMA, "error": "", "subjects": subjects}
