"""The image of a pod's first container, which every container runtime needs: one static program."""

import hashlib
import io
import json
import subprocess
import tarfile
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.testbed.assets.cache import Asset, Cache
from tests.testbed.assets.workshop import Workshop

IMAGE: Final = "localhost/isthmus-pause:1"
_SOURCE: Final = Path(__file__).with_name("pause.c")
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_OCI: Final = "application/vnd.oci.image"


def locate(cache: Cache) -> Path:
    """Its OCI archive, built or not."""
    return _asset(cache).directory / "pause.oci.tar"


def build(workshop: Workshop) -> None:
    """Build it unless it is in the cache."""
    workshop.build(_asset(workshop.cache), 2, partial(_build, workshop))


def _asset(cache: Cache) -> Asset:
    return cache.asset("pause", _SOURCE.read_bytes(), Path(__file__).read_bytes())


def _build(workshop: Workshop, directory: Path) -> None:
    program = directory / "pause"
    workshop.run("pause", ["gcc", "-Os", "-static", "-s", "-o", program, _SOURCE])
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    locate(workshop.cache).write_bytes(_archive(program.read_bytes(), _ARCHITECTURES.get(machine, machine)))


def _archive(program: bytes, architecture: str) -> bytes:
    """An OCI image layout as a tar file (https://github.com/opencontainers/image-spec/blob/main/image-layout.md)."""
    layer = _tar({"pause": program}, mode=0o755)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
    }
    configured = json.dumps(config).encode()
    manifest = {
        "schemaVersion": 2,
        "config": _descriptor(f"{_OCI}.config.v1+json", configured),
        "layers": [_descriptor(f"{_OCI}.layer.v1.tar", layer)],
    }
    described = json.dumps(manifest).encode()
    entry = {
        **_descriptor(f"{_OCI}.manifest.v1+json", described),
        "annotations": {"org.opencontainers.image.ref.name": IMAGE},
    }
    blobs = {f"blobs/{_digest(blob).replace(':', '/')}": blob for blob in (layer, configured, described)}
    index = json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode()
    return _tar({"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": index, **blobs})


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return output.getvalue()
