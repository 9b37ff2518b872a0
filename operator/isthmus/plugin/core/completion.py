"""Completion of the shell, in the form that kubectl asks a plugin for: one candidate a line, then a directive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from isthmus.model.reasons import Reason

from .diagnosis.catalogue import Code
from .verbs import COMMON, VERBS, Option

_NO_FILES: Final = ":4"  # ShellCompDirectiveNoFileComp of cobra

SCRIPT: Final = """\
#!/bin/sh
# kubectl runs this file, kubectl_complete-isthmus on the PATH, to complete `kubectl isthmus`.
exec kubectl-isthmus __complete "$@"
"""


def candidates(words: Sequence[str]) -> list[str]:
    """What may stand at the place of the last word, and the directive."""
    *before, current = words or [""]
    return [*(word for word in _possible(before, current) if word.startswith(current)), _NO_FILES]


def _possible(before: Sequence[str], current: str) -> list[str]:
    verb = next((verb for verb in VERBS if verb.name in before[:1]), None)
    if verb is None:
        return [] if before else [verb.name for verb in VERBS]
    options = (*verb.options, *COMMON) if verb.reads_cluster else verb.options
    previous = next((option for option in options if before[-1] in option.names), None)
    if previous is not None and previous.metavar:
        return list(previous.choices)
    if current.startswith("-"):
        return [name for option in options for name in _long(option)]
    if len(before) > 1:
        return []
    return [str(code) for code in (*Reason, *Code)] if verb.argument == "CODE" else list(verb.argument_choices)


def _long(option: Option) -> list[str]:
    return [name for name in option.names if name.startswith("--")]
