"""Software bill of materials of one image: `python3 sbom.py NAME DPKG_STATUS [WHEELS]`, as CycloneDX 1.6 on stdout.

Runs during the build, with the standard library only. The same content yields the same document.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from email.parser import Parser
from importlib.metadata import distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def bill(name: str, components: list[Component]) -> dict[str, Any]:
    """The document; its serial number depends on the components."""
    content = json.dumps([name, components], sort_keys=True)
    metadata: dict[str, Any] = {"component": {"type": "container", "name": name, "bom-ref": name}}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        metadata["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": metadata,
        "components": components,
    }


def packages(status: str) -> Iterator[Component]:
    """Debian packages out of dpkg's status file."""
    for paragraph in filter(str.strip, status.split("\n\n")):
        fields = Parser().parsestr(paragraph.strip() + "\n")
        name, version, architecture = (fields[field] for field in ("Package", "Version", "Architecture"))
        url = f"pkg:deb/debian/{quote(name)}@{quote(version, safe='')}?arch={architecture}"
        yield {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}


def wheels(directory: str) -> Iterator[Component]:
    """Python distributions in a directory."""
    for distribution in distributions(path=[directory]):
        metadata: Message = distribution.metadata  # type: ignore[assignment]  # a Message by another name
        name, version = metadata["Name"], metadata["Version"]
        url = f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='')}"
        component = {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
        if expression := metadata["License-Expression"]:
            component["licenses"] = [{"expression": expression}]
        yield component


def main(name: str, status: str, *directories: str) -> None:
    """Write the document."""
    found = [*packages(Path(status).read_text()), *(c for directory in directories for c in wheels(directory))]
    json.dump(bill(name, sorted(found, key=lambda c: str(c["bom-ref"]))), sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
