"""Every command that a document shows exists, with these arguments."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from isthmus.cli import main as operator
from isthmus.plugin import arguments as plugin
from isthmus.plugin.core.verbs import COMMON, VERBS
from tests.golden import commands

DOCUMENTS = commands.documents()
PLUGIN = "kubectl isthmus"
each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(commands.ROOT)) if isinstance(path, Path) else None
)


@each_document
def test_calls_of_the_plugin_are_accepted(document: Path) -> None:
    for arguments in commands.in_blocks(document.read_text(), PLUGIN):
        plugin.parse(arguments)


@each_document
def test_verbs_of_the_plugin_exist_with_these_options(document: Path) -> None:
    options = {verb.name: {name for option in (*verb.options, *COMMON) for name in option.names} for verb in VERBS}
    for verb, *rest in commands.in_sentences(document.read_text(), PLUGIN):
        assert verb in options
        assert {argument for argument in rest if argument.startswith("-")} <= options[verb]


@each_document
def test_calls_of_the_operator_are_accepted(document: Path) -> None:
    for arguments in commands.in_blocks(document.read_text(), "isthmus"):
        operator.parser().parse_args(arguments)


@each_document
def test_targets_of_make_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (commands.ROOT / "Makefile").read_text(), re.MULTILINE))
    text = document.read_text()
    for target, *_ in (*commands.in_blocks(text, "make"), *commands.in_sentences(text, "make")):
        assert target in targets


def test_each_verb_is_named_in_a_document_that_is_written_by_hand() -> None:
    text = "\n".join(path.read_text() for path in DOCUMENTS)
    found = {verb for verb, *_ in (*commands.in_blocks(text, PLUGIN), *commands.in_sentences(text, PLUGIN))}
    missing = {verb.name for verb in VERBS} - found - _named_alone(text)
    assert missing == set()


def _named_alone(text: str) -> set[str]:
    """Verbs that a sentence names after it has named the plugin."""
    return set(re.findall(r"`([a-z]+)`", text))


def test_commands_are_found() -> None:
    text = (
        "Run `kubectl isthmus\nstatus -o json`:\n\n    kubectl isthmus explain BFDDown   what it means\n\n"
        "1. and\n   ```console\n   a$ kubectl isthmus invite cloud-b \\\n     --server https://x > out # soon\n   ```\n"
    )
    assert list(commands.in_sentences(text, PLUGIN)) == [["status", "-o", "json"]]
    blocks = sorted(commands.in_blocks(text, PLUGIN))
    assert blocks == [["explain", "BFDDown"], ["invite", "cloud-b", "--server", "https://x"]]
