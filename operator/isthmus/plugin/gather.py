"""`kubectl isthmus gather`: everything that somebody needs who is asked for help, and no Secret, in one archive."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from isthmus.model import names
from isthmus.model.redaction import redacted

from . import terminal
from .core import leases, resources
from .core.answer import Answer, Unread
from .core.diagnosis import diagnose
from .core.diagnosis.subject import Readings
from .core.documents import Document
from .core.gather import sources, tarball
from .core.gather.cleaning import cleaned
from .core.gather.content import MAX_BYTES, Content, limited, log, objects, within
from .core.gather.pods import Log, logs
from .core.gather.sources import Source
from .core.refusals import Refused
from .core.status import status
from .core.tables import Style
from .kubectl import Kubectl, NotRead, NotServed
from .release import own_version

_LOG_LINES: Final = 100_000
_NATIVE: Final = "no pods run here: add the logs of controller, agents and charon, as their services write them"


@dataclass
class Gathered:
    """What was read so far."""

    items: dict[str, tuple[Document, ...]] = field(default_factory=dict)
    """By file, complete lists; without those that could not be read."""
    unread: list[Unread] = field(default_factory=list)

    def of(self, *files: Source) -> list[Document]:
        """All objects of these lists."""
        return [item for source in files for item in self.items.get(source.file, ())]


def gather(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Write the archive. What cannot be read is named in it, unless nothing can be."""
    now, since = datetime.now(UTC).replace(microsecond=0), sources.since(chosen.since)
    path = Path(chosen.out or f"isthmus-{now:%Y%m%dT%H%M%SZ}.tar.gz")
    terminal.require_new_file(path)
    found = _read(kubectl)
    contents, cloud_id = _evaluated(found, now)
    contents += [objects(file, map(cleaned, items)) for file, items in found.items.items()]
    contents.append(_versions(kubectl, found))
    every = logs(found.of(*sources.WORKLOADS))
    contents += _logs(kubectl, every, since, found.unread)
    kept, notes = within(contents), [] if every else [_NATIVE]
    listing = [*tarball.heading(cloud_id, own_version(), now), *tarball.listing(kept, found.unread, notes)]
    directory = path.name.removesuffix(".tar.gz")
    archive = tarball.packed(directory, kept, "".join(f"{line}\n" for line in listing), now)
    terminal.write_private(path, archive)
    return tarball.gathered(str(path), len(archive), kept, found.unread, notes)


def _read(kubectl: Kubectl) -> Gathered:
    """All lists. Raises NotRead if the API server does not answer, or none of our kinds can be read."""
    found = Gathered()
    try:
        kubectl.get_list(*sources.kind("gatewaynodes").arguments).result()
    except NotServed as error:
        if names.VERSION not in error.served:  # otherwise some of the definitions are missing
            raise
    for plural in sources.KINDS:
        _add(kubectl, found, sources.kind(plural))
    if not any(sources.kind(plural).file in found.items for plural in sources.KINDS):
        raise NotRead.of(found.unread)
    for source in (sources.LEASES, *sources.WORKLOADS, *sources.OTHERS):
        _add(kubectl, found, source)
    return found


def _add(kubectl: Kubectl, found: Gathered, source: Source) -> None:
    try:
        reading = kubectl.get_list(*source.arguments).result()
    except NotRead as error:
        found.unread.append(Unread(source.label, str(error)))
        return
    found.unread += [
        Unread(source.label, str(gap) if source.has_several_kinds else gap.cause) for gap in reading.unread
    ]
    if reading.items or not reading.unread:
        found.items[source.file] = reading.items


def _evaluated(found: Gathered, now: datetime) -> tuple[list[Content], str]:
    """What `status` and `diagnose` say of what was read, and this cloud's ID."""
    cloud = resources.cloud(found.of(*map(sources.kind, sources.KINDS)))
    is_known = sources.LEASES.file in found.items
    processes = leases.leases(found.of(sources.LEASES), now) if is_known else None
    shown = status(cloud, processes, found.unread)
    causes = {gap.resource: gap.cause for gap in found.unread}
    diagnosis = diagnose(Readings(cloud, processes, causes), None, found.unread)
    contents = [content for answer in (shown, diagnosis) for content in _both(answer)]
    return contents, str(shown.document.get("cloudID") or "")


def _both(answer: Answer) -> list[Content]:
    """As text and as JSON."""
    lines = "".join(f"{line}\n" for line in answer.text(Style()))
    document = json.dumps(answer.to_document(), indent=2, ensure_ascii=False)
    return [log(f"{answer.verb}.txt", redacted(lines)), log(f"{answer.verb}.json", redacted(document + "\n"))]


def _versions(kubectl: Kubectl, found: Gathered) -> Content:
    document: dict[str, Any] = {"plugin": own_version(), "definitions": names.API_VERSION}
    try:
        document |= json.loads(kubectl.run("version", "-o", "json"))
    except (NotRead, Refused, ValueError) as error:
        found.unread.append(Unread("versions.json", str(error)))
    return log("versions.json", json.dumps(document, indent=2) + "\n")


def _logs(kubectl: Kubectl, every: Sequence[Log], since: str, unread: list[Unread]) -> list[Content]:
    contents = []
    for each in every:
        try:
            text = kubectl.run(*each.arguments(since, _LOG_LINES))
        except (NotRead, Refused) as error:
            unread.append(Unread(each.file, str(error)))
        else:
            contents.append(limited(log(each.file, redacted(text)), MAX_BYTES // len(every)))
    return contents


VERBS = {"gather": gather}
