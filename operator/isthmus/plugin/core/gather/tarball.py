"""The archive itself, and its list of contents."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from ..answer import Answer, ExitCode, Unread, gap_lines
from ..tables import Style
from .content import Content

CONTENTS: Final = "contents.txt"


def packed(directory: str, contents: Sequence[Content], listing: str, now: datetime) -> bytes:
    """A compressed archive with one directory, whose first file is the list of contents (POSIX.1-2001 pax)."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile("", "wb", fileobj=buffer, mtime=int(now.timestamp())) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in ((CONTENTS, listing.encode()), *((each.name, each.bytes) for each in contents)):
            entry = tarfile.TarInfo(f"{directory}/{name}")
            entry.size, entry.mode, entry.mtime = len(content), 0o600, int(now.timestamp())
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def listing(contents: Sequence[Content], unread: Sequence[Unread], notes: Sequence[str]) -> list[str]:
    """What is in the archive, and what is not."""
    lines = [f"{content.size:>10}  {content.name}" for content in contents]
    cut = [f"cut: {content.name}: {content.cut}" for content in contents if content.cut]
    return [*lines, *cut, *gap_lines(unread), *notes]


def heading(cloud_id: str, client: str, now: datetime) -> list[str]:
    """The first lines of the list of contents."""
    return [
        f"{cloud_id or 'a cloud of unknown ID'} at {now:%Y-%m-%d %H:%M:%S} UTC, by kubectl isthmus gather {client}",
        "Secrets were not read. What looks like a credential in texts is replaced by [redacted].",
        "",
    ]


def gathered(
    file: str, size: int, contents: Sequence[Content], unread: Sequence[Unread], notes: Sequence[str]
) -> Answer:
    """The archive was written."""
    document = {
        "file": file,
        "bytes": size,
        "contents": [{"name": each.name, "bytes": each.size, "cut": each.cut} for each in contents],
        "unread": [gap.to_document() for gap in unread],
    }

    def text(_: Style) -> list[str]:
        written = f"Wrote {file}, {size} bytes, without any Secret: read it before you hand it to others."
        return [*listing(contents, unread, notes), written]

    return Answer("gather", ExitCode.NOT_READ if unread else ExitCode.FINE, document, text)
