"""Writes what krew installs, an archive and a manifest: `python3 -m isthmus.plugin.krew DIRECTORY [--release URL]`.

`make plugin` runs it. Format and rules of the manifest: https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from . import archive
from .core.completion import SCRIPT

ARCHIVE: Final = "kubectl-isthmus.tar.gz"
MANIFEST: Final = "isthmus.yaml"  # krew wants the name of the plugin
_LICENSE: Final = Path(__file__).parents[3] / "LICENSE"
_MANIFEST: Final = """\
# Written by `make plugin`; krew verifies the archive with its digest.
apiVersion: krew.googlecontainertools.github.com/v1alpha2
kind: Plugin
metadata:
  name: isthmus
spec:
  version: {version}
  shortDescription: Stretch networks between OpenStack clouds
  description: |
    Shows and operates a federation of OpenStack clouds whose networks Isthmus
    stretches over IPsec: its state on one screen, which layer fails and whose
    it is, and the agreement with another cloud by one file each way.
  caveats: |
    Needs Python 3.11 or newer as python3. To complete its verbs in a shell,
    write the output of `kubectl isthmus completion` to an executable file
    kubectl_complete-isthmus in a directory of PATH.
  platforms:
  - selector:
      matchExpressions:
      - {{key: os, operator: In, values: [darwin, linux]}}
    uri: {uri}
    sha256: {sha256}
    bin: kubectl-isthmus
"""


def packed() -> bytes:
    """The archive: plugin, completion and licence. The same sources give the same bytes."""
    buffer = BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        for name, content, mode in (
            ("LICENSE", _LICENSE.read_bytes(), 0o644),
            ("kubectl-isthmus", archive.build(), 0o755),
            ("kubectl_complete-isthmus", SCRIPT.encode(), 0o755),
        ):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            tar.addfile(entry, BytesIO(content))
    return buffer.getvalue()


def manifest(content: bytes, release: str) -> str:
    """The manifest for that archive; without the address of a release, krew is to be given the archive itself."""
    uri = f"{release.rstrip('/')}/{ARCHIVE}" if release else ARCHIVE
    digest = hashlib.sha256(content).hexdigest()
    return _MANIFEST.format(version=f"v{archive.version()}", uri=json.dumps(uri), sha256=digest)


def write(directory: Path, release: str) -> None:
    """Write both files."""
    directory.mkdir(parents=True, exist_ok=True)
    content = packed()
    (directory / ARCHIVE).write_bytes(content)
    (directory / MANIFEST).write_text(manifest(content, release))


def _release(text: str) -> str:
    url = urlsplit(text)
    if text and (url.scheme != "https" or not url.hostname or url.query or url.fragment or not text.isprintable()):
        raise argparse.ArgumentTypeError("must be the https URL of the directory that will hold the archive")
    return text


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write the archive and the manifest for krew.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--release", type=_release, default="", help="https URL of the directory with the archive")
    chosen = parser.parse_args()
    write(chosen.directory, chosen.release)
