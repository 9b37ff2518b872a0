"""Reads an OCI archive (https://github.com/opencontainers/image-spec) as one root file system."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from images.inputs import Target

MAXIMUM_BYTES: Final[dict[Target, int]] = {"controller": 45_000_000, "agent": 45_000_000, "charon": 8_000_000}
"""Of the archives, which are compressed."""


@dataclass(frozen=True)
class Entry:
    """A file, a link or a directory of the image."""

    info: tarfile.TarInfo
    content: bytes
    """Empty unless it is a regular file."""


class Archive:
    """The only image of an archive."""

    def __init__(self, path: Path) -> None:
        self.compressed_bytes = path.stat().st_size
        self._blobs: dict[str, bytes] = {}
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    self._blobs[member.name.removeprefix("./")] = file.read()
        (self._manifest,) = json.loads(self._blobs["index.json"])["manifests"]
        document = self._json(self.digest)
        image: dict[str, Any] = self._json(document["config"]["digest"])
        self.config: dict[str, Any] = image["config"]
        self.created: str = image["created"]
        self.entries = self._merged([layer["digest"] for layer in document["layers"]])

    @property
    def digest(self) -> str:
        """Digest of the manifest, by which a registry knows the image."""
        return str(self._manifest["digest"])

    def content(self, path: str) -> bytes:
        """Content of a regular file; the path has no slash at its beginning."""
        return self.entries[path].content

    def unpack(self, directory: Path) -> None:
        """Write the root file system; modes and owners are kept if the process is root."""
        for path, entry in sorted(self.entries.items()):
            self._write(directory / path, entry)

    def _write(self, path: Path, entry: Entry) -> None:
        if entry.info.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif entry.info.issym():
            path.symlink_to(entry.info.linkname)
            return
        elif entry.info.islnk():
            path.write_bytes(self.content(entry.info.linkname))
        else:
            path.write_bytes(entry.content)
        path.chmod(entry.info.mode & 0o7777)

    def _json(self, digest: str) -> Any:
        return json.loads(self._blob(digest))

    def _blob(self, digest: str) -> bytes:
        return self._blobs[f"blobs/{digest.replace(':', '/')}"]

    def _merged(self, layers: list[str]) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        for layer in layers:
            blob = self._blob(layer)
            content = gzip.decompress(blob) if blob.startswith(b"\x1f\x8b") else blob
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                for member in tar:
                    name = member.name.removeprefix("./").rstrip("/")
                    if Path(name).name.startswith(".wh."):
                        raise ValueError(f"{name}: a layer removes a file of an earlier one")
                    file = tar.extractfile(member) if member.isreg() else None
                    entries[name] = Entry(member, file.read() if file else b"")
        return entries
