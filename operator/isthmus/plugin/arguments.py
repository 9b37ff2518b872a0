"""Parses the command line by the list of verbs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from .core.verbs import COMMON, VERBS, Option, Verb

_TIMEOUT = "--request-timeout"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """`verb` and its arguments; ends the process with exit code 2 for a mistake."""
    parser = argparse.ArgumentParser(
        prog="kubectl isthmus",
        description="Show and operate this cloud's federation.",
        epilog="Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage, 3 something could not be read.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        _add(verbs.add_parser(verb.name, help=verb.help, description=verb.help, allow_abbrev=False), verb)
    return parser.parse_args(arguments)


def options_for_kubectl(chosen: argparse.Namespace) -> list[str]:
    """The options to pass on, with a timeout in any case."""
    passed = []
    for option in COMMON:
        value = getattr(chosen, _destination(option))
        values = value if isinstance(value, list) else [value] if value is not None else []
        passed += [f"{option.names[0]}={each}" for each in values]
    if getattr(chosen, _destination(COMMON[-1])) is None:
        passed.append(f"{_TIMEOUT}=30s")
    return passed


def _add(parser: argparse.ArgumentParser, verb: Verb) -> None:
    if verb.argument:
        count = "?" if verb.argument_is_optional else None
        metavar = "|".join(verb.argument_choices) or verb.argument
        choices = verb.argument_choices or None
        parser.add_argument(verb.argument.lower(), metavar=metavar, nargs=count, choices=choices)
    for option in verb.options:
        _add_option(parser, option)
    if verb.reads_cluster:
        passed = parser.add_argument_group("options of kubectl")
        for option in COMMON:
            _add_option(passed, option)


def _add_option(parser: argparse._ActionsContainer, option: Option) -> None:
    names, destination = option.names, _destination(option)
    if not option.metavar:
        parser.add_argument(*names, dest=destination, action="store_true", help=option.help)
    elif option.choices:
        default = option.choices[0]
        parser.add_argument(*names, dest=destination, choices=option.choices, default=default, help=option.help)
    else:
        action = "append" if option.is_repeatable else "store"
        parser.add_argument(
            *names,
            dest=destination,
            metavar=option.metavar,
            action=action,
            required=option.is_required,
            help=option.help,
        )


def _destination(option: Option) -> str:
    """Name in the namespace; `as` is a word of Python, so none of them is used as an attribute by its bare name."""
    return option.names[-1].removeprefix("--").replace("-", "_")
