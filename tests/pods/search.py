"""Runs on a node: looks for secrets in files, and in command lines and environments of processes.

Standard input is a JSON object: `secrets` has the hexadecimal forms of each secret by its name, `roots` the directories
to be searched with everything in them. Prints an object: `found` has pairs of a place and a secret's name, `unread` the
files that could not be read, `files` and `processes` how many were searched.
"""

import json
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

CHUNK_BYTES = 8 << 20

Secrets = dict[str, list[bytes]]


def names_in(chunk: bytes, secrets: Secrets) -> set[str]:
    return {name for name, forms in secrets.items() if any(form in chunk for form in forms)}


def names_in_file(path: str, secrets: Secrets) -> set[str]:
    """A form may lie across the border of two chunks."""
    overlap = max(len(form) for forms in secrets.values() for form in forms) - 1
    found: set[str] = set()
    rest = b""
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            found |= names_in(rest + chunk, secrets)
            rest = chunk[-overlap:]
    return found


def regular_files(root: str) -> Iterator[str]:
    """Without those that are empty: what the kernel shows as files of no size is nobody's."""
    for directory, _, files in os.walk(root):
        for name in files:
            path = os.path.join(directory, name)
            try:
                info = os.lstat(path)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_size:
                yield path


def processes() -> Iterator[tuple[str, bytes]]:
    """Places and contents. The first process is the machine's own, and not even root may read all of it."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdecimal() and directory.name not in ("1", str(os.getpid())):
            try:
                name = (directory / "comm").read_text().strip()
                yield f"command line of {name}", (directory / "cmdline").read_bytes()
                yield f"environment of {name}", (directory / "environ").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue


def search(secrets: Secrets, roots: Iterable[str]) -> dict[str, object]:
    found: set[tuple[str, str]] = set()
    unread, files = [], 0
    for path in (path for root in roots for path in regular_files(root)):
        try:
            found |= {(path, name) for name in names_in_file(path, secrets)}
            files += 1
        except FileNotFoundError:
            continue
        except OSError as error:
            unread.append(f"{path}: {error.strerror}")
    contents = list(processes())
    found |= {(place, name) for place, content in contents for name in names_in(content, secrets)}
    return {"found": sorted(found), "unread": unread, "files": files, "processes": len(contents) // 2}


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    forms = {name: [bytes.fromhex(form) for form in each] for name, each in asked["secrets"].items()}
    print(json.dumps(search(forms, asked["roots"])))
