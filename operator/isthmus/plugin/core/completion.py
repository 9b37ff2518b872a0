"""Completion of the shell, in the form that kubectl asks a plugin for: one candidate a line, then a directive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from isthmus.model.reasons import Reason

from .diagnosis.catalogue import Code
from .verbs import COMMON, VERBS, Option, Verb

# Directives of cobra: ShellCompDirectiveDefault and ShellCompDirectiveNoFileComp.
_FILES: Final = ":0"
_NO_FILES: Final = ":4"
_FILE: Final = "FILE"

SCRIPT: Final = """\
#!/bin/sh
# kubectl runs this file, kubectl_complete-isthmus on the PATH, to complete `kubectl isthmus`.
exec kubectl-isthmus __complete "$@"
"""


def candidates(words: Sequence[str]) -> list[str]:
    """What may stand at the place of the last word, and the directive, which lets the shell complete a file."""
    *before, current = words or [""]
    possible = _possible(before, current)
    if possible is None:
        return [_FILES]
    return [*(word for word in possible if word.startswith(current)), _NO_FILES]


def _possible(before: Sequence[str], current: str) -> list[str] | None:
    """All words that may stand there; None if it is the name of a file."""
    if not before:
        return ["--help"] if current.startswith("-") else [verb.name for verb in VERBS]
    verb = next((verb for verb in VERBS if verb.name == before[0]), None)
    if verb is None:
        return []
    options = (*verb.options, *COMMON) if verb.reads_cluster else verb.options
    if (previous := _awaiting_value(options, before[-1])) is not None:
        return None if previous.metavar == _FILE else list(previous.choices)
    if current.startswith("-"):
        return ["--help", *(name for option in options for name in _long(option))]
    return [] if _has_argument(options, before[1:]) else _arguments(verb)


def _arguments(verb: Verb) -> list[str] | None:
    if verb.argument == _FILE:
        return None
    return [str(code) for code in (*Reason, *Code)] if verb.argument == "CODE" else list(verb.argument_choices)


def _has_argument(options: Sequence[Option], words: Sequence[str]) -> bool:
    """Whether one of the words after the verb is neither an option nor the value of one."""
    preceding = ("", *words)
    return any(
        not word.startswith("-") and _awaiting_value(options, before) is None
        for before, word in zip(preceding, words, strict=False)
    )


def _awaiting_value(options: Sequence[Option], word: str) -> Option | None:
    """The option that this word is, if its value is the next word."""
    return next((option for option in options if word in option.names and option.metavar), None)


def _long(option: Option) -> list[str]:
    return [name for name in option.names if name.startswith("--")]
