"""The README's commands, one after the other, for tests that run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

README: Final = Path(__file__).parents[1] / "README.md"
PATH_TO_THE_FIRST_PING: Final = ("Install", "Agree with another cloud", "Stretch a network")
"""The sections that lead from two prepared clouds to a network in both."""

_PROMPT: Final = re.compile(r"([ab])\$ ")
_COMMENT: Final = re.compile(r"\s{2,}#.*$")


@dataclass(frozen=True)
class Command:
    """A command for bash, and the prompt before it: the name of a cloud, `a` or `b`, or empty."""

    line: str
    prompt: str = ""


def commands(heading: str) -> list[Command]:
    """The commands of a section, without their comments."""
    blocks = re.findall(r"^```console\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", "").splitlines()
    return [_command(_COMMENT.sub("", line)) for line in lines if line.strip()]


def example(heading: str) -> str:
    """The only object of a section, as YAML."""
    (found,) = re.findall(r"^```yaml\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
    return str(found)


def section(heading: str) -> str:
    """The text of a section. Raises LookupError if the README has none of that name."""
    _, found, rest = README.read_text().partition(f"\n## {heading}\n")
    if not found:
        raise LookupError(f"the README has no section {heading!r}")
    return rest.partition("\n## ")[0]


def _command(line: str) -> Command:
    prompt = _PROMPT.match(line)
    return Command(line[prompt.end() :], prompt[1]) if prompt else Command(line)
