"""What `kubectl isthmus` says of its verbs and options: help, completion, and wrong usage."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from isthmus.plugin.core.verbs import VERBS, Verb
from isthmus.plugin.main import main


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-verb"],
        ["status", "-o", "yaml"],
        ["explain"],
        ["explain", "NoSuchReason"],
        ["status", "--bogus"],
        ["stat"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        sys.exit(main(arguments))
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([""], [verb.name for verb in VERBS]),
        (["net"], ["networks"]),
        (["-"], ["--help"]),
        (["networks", "-o", ""], ["text", "json"]),
        (["networks", "-n", ""], []),
        (["networks", "--nam"], ["--namespace"]),
        (["status", "--as"], ["--as", "--as-group"]),
        (["explain", "BFD"], ["BFDDown"]),
        (["explain", "BFDDown", ""], []),
        (["explain", "-o", "text", "BFDDow"], ["BFDDown"]),
        (["restart", ""], ["controller", "agent", "charon"]),
        (["restart", "--yes", "--node", "agent", "c"], ["controller", "charon"]),
        (["restart", "charon", "--yes", ""], []),
        (["restart", "charon", "--n"], ["--node"]),
        (["uninstall", ""], []),
        (["bogus", ""], []),
    ],
)
def test_completion(words: list[str], found: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", *words]) == 0
    assert capsys.readouterr().out.splitlines() == [*found, ":4"]


@pytest.mark.parametrize(
    "words",
    [["join", ""], ["accept", "--yes", "cloud"], ["invite", "b", "--ca-file", ""], ["peers", "--kubeconfig", ""]],
)
def test_shell_completes_files(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["__complete", *words]) == 0
    assert capsys.readouterr().out == ":0\n"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_completion_has_every_option_of_every_verb(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    main(["__complete", verb.name, "-"])
    completed = set(capsys.readouterr().out.split()) - {":4"}
    with pytest.raises(SystemExit):
        main([verb.name, "--help"])
    assert completed == set(re.findall(r"--[a-z-]+", capsys.readouterr().out.partition("\noptions:")[2]))


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_of_every_verb(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([verb.name, "--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    shown = " ".join(printed.out.split())
    assert shown.startswith(f"usage: kubectl isthmus {verb.name} [-h]")
    assert [text for text in (verb.help, *(option.help for option in verb.options)) if text not in shown] == []


def test_help_lists_every_verb_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert [verb.name for verb in VERBS if f" {verb.name} {verb.help}" not in shown] == []
    assert "Exit codes: 0 all is well, 1 something is wrong, 2 wrong usage, 3 something could not be read" in shown
    assert main(["completion"]) == 0


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    printed = capsys.readouterr()
    assert (ended.value.code, printed.out) == (2, "")
    assert printed.err.startswith("usage: kubectl isthmus [-h] VERB ...")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["stauts"], "there is no verb 'stauts' (did you mean status?); see kubectl isthmus --help"),
        (["x\x1b[2J"], "there is no verb 'x\\x1b[2J'; see kubectl isthmus --help"),
        (["--context", "a", "status"], "the verb comes first, and --context after it; see kubectl isthmus --help"),
        (["revoke"], "the following arguments are required: PEER; see kubectl isthmus revoke --help"),
        (["status", "--bog\x1b[2Jus"], "unrecognized arguments: --bog[2Jus; see kubectl isthmus --help"),
    ],
)
def test_wrong_usage_is_a_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"kubectl isthmus: {sentence}\n"


def test_completion_program_is_a_script_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 0
    script = capsys.readouterr().out
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    assert script.splitlines()[-1] == 'exec kubectl-isthmus __complete "$@"'
