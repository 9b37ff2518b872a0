"""The sentence with which the plugin fails, of a run in this process; the cluster tier has `pluginfile.Plugin`."""

from __future__ import annotations

import pytest

from isthmus.plugin.main import main

_PREFIX = "kubectl isthmus: "


def failure(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 3) -> str:
    """It is the only output."""
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err.removeprefix(_PREFIX).strip()


def failure_at_last(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    """It is the last line, after those that say what was done; there is no answer."""
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err.splitlines()[-1].removeprefix(_PREFIX)
