"""Commands in documents: lines of blocks, and code within sentences."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ("commands.md",)
"""Pages that are written from the commands themselves, with optional arguments in brackets."""

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_LANGUAGES = ("", "console", "bash", "sh")
_INDENTED = re.compile(r"(?:^|\n)\n((?: {4}\S.*\n)+)")
_INLINE = re.compile(r"`([^`]+)`")
_PROMPT = re.compile(r"^\s*(?:[a-z]?\$ )?")


def documents() -> list[Path]:
    """All documents with commands for users."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    return sorted(path for path in found if path.name not in GENERATED)


def in_blocks(text: str, program: str) -> Iterator[list[str]]:
    """The arguments of each call of this program that is a line of a block, without comments and redirections."""
    fenced = [match[3] for match in _FENCED.finditer(text) if match[2] in _LANGUAGES]
    for block in (*fenced, *(match[1] for match in _INDENTED.finditer(_FENCED.sub("", text)))):
        for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines():
            command = _PROMPT.sub("", line)
            if command.startswith(f"{program} "):
                yield _arguments(command.removeprefix(program))


def in_sentences(text: str, program: str) -> Iterator[list[str]]:
    """The same of code within sentences, which may lack required arguments."""
    for match in _INLINE.finditer(_FENCED.sub("", text)):
        command = " ".join(match[1].split())
        if command.startswith(f"{program} "):
            yield _arguments(command.removeprefix(program))


def _arguments(command: str) -> list[str]:
    # A comment, a redirection, or what a table says of the command in its second column.
    return shlex.split(re.split(r" [#>|]|(?<=\S) {2,}", command, maxsplit=1)[0])


def blocks_below(text: str, title: str) -> list[str]:
    """The blocks of commands of one section, as they are written."""
    section = re.split(rf"^#+ {re.escape(title)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    own = re.split(r"^#+ ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return [match[3] for match in _FENCED.finditer(own) if match[2] == "console"]
