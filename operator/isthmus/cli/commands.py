"""docs/commands.md, written from the parser of `isthmus` and from the list of verbs of `kubectl isthmus`.

Run as `python -m isthmus.cli.commands FILE`; a test fails when the file differs.
"""

from __future__ import annotations

import sys
from argparse import SUPPRESS, ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from isthmus.model.markdown import item, page, paragraphs, wrapped
from isthmus.plugin.core.verbs import COMMON, VERBS, Option, Verb

from .main import parser

_INTRODUCTION: Final = """\
# Commands

<!-- Generated from isthmus.cli and isthmus.plugin; do not edit. `make generate` writes it. -->

`--help` of each command says the same. Exit codes, rights and examples of `kubectl isthmus` are in
[reference.md](reference.md#kubectl-isthmus)."""


def render() -> str:
    """The whole page."""
    return page(_lines())


def _lines() -> Iterator[str]:
    yield from paragraphs(_INTRODUCTION)
    yield "## kubectl isthmus\n"
    for verb in VERBS:
        yield from _verb(verb)
    yield "### Options that are passed on to kubectl\n"
    yield from map(_option, COMMON)
    yield "\n## isthmus\n"
    yield from _commands(parser())


def _verb(verb: Verb) -> Iterator[str]:
    yield f"### kubectl isthmus {verb.name}\n"
    yield f"    kubectl isthmus {' '.join(filter(None, (verb.name, verb.argument_usage)))}\n"
    yield wrapped(_sentence(verb.help)) + "\n"
    yield from map(_option, verb.options)
    if verb.options:
        yield ""


def _option(option: Option) -> str:
    value = "|".join(option.choices) or option.metavar
    spelling = f"{', '.join(option.names)} {value}".rstrip()
    return _item(spelling, option.help, option.is_required)


def _commands(whole: ArgumentParser) -> Iterator[str]:
    # argparse offers no public list of what a parser accepts.
    (commands,) = (action for action in whole._actions if isinstance(action, _SubParsersAction))
    helps = {choice.dest: choice.help or "" for choice in commands._choices_actions}
    for name, command in commands.choices.items():
        yield f"### isthmus {name}\n"
        yield wrapped(_sentence(helps[name])) + "\n"
        items = list(_arguments(command))
        yield from items
        if items:
            yield ""


def _arguments(command: ArgumentParser) -> Iterator[str]:
    for action in command._actions:
        if action.dest == "help" or action.help is SUPPRESS:
            continue
        value = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
        yield _item(f"{', '.join(action.option_strings)} {value}".strip(), action.help or "", action.required)


def _item(spelling: str, help_text: str, is_required: bool) -> str:
    required = " (required)" if is_required else ""
    return item(f"**`{spelling}`**{required}: {help_text}{'' if help_text.endswith('.') else '.'}")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
