"""Parses the command line by the list of verbs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, NoReturn

from isthmus.model.text import printable

from .core.answer import ExitCode
from .core.verbs import COMMON, VERBS, Option, Verb

_PROGRAM: Final = "kubectl isthmus"
_TIMEOUT: Final = "--request-timeout"
_HELP: Final = ("-h", "--help")
_COLUMNS: Final = 28  # of verbs and options in a help text


class _Parser(argparse.ArgumentParser):
    """Says in one sentence what is wrong, as for every other failure."""

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2."""
        sentence = printable(f"{_PROGRAM}: {message}; see {self.prog} --help")
        self.exit(ExitCode.USAGE, sentence.encode("ascii", "backslashreplace").decode() + "\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """`verb` and its arguments; ends the process with exit code 2 for a mistake."""
    parser = _Parser(
        prog=_PROGRAM,
        description="Show and operate this cloud's federation.",
        epilog="Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage, 3 something could not be read or "
        "tried. `kubectl isthmus VERB --help` shows the options of a verb.",
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=_COLUMNS),
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        _add(verbs.add_parser(verb.name, help=verb.help, description=verb.help, allow_abbrev=False), verb)
    if not arguments:
        parser.print_help(sys.stderr)
        parser.exit(ExitCode.USAGE)
    if problem := _verb_problem(arguments[0]):
        parser.error(problem)
    return parser.parse_args(arguments)


def _verb_problem(word: str) -> str:
    """Why the first word is no verb; empty if it is one, or asks for help."""
    known = [verb.name for verb in VERBS]
    if word in (*known, *_HELP):
        return ""
    if word.startswith("-"):
        return f"the verb comes first, and {word} after it"
    similar = get_close_matches(word, known, n=1)
    return f"there is no verb {word!r}" + (f" (did you mean {similar[0]}?)" if similar else "")


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
        count = "*" if verb.argument_is_repeatable else "?" if verb.argument_is_optional else None
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
