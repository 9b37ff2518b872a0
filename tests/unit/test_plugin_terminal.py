"""Files, questions and the pairing code at the user's terminal."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from isthmus.plugin import terminal
from isthmus.plugin.core.bundles.code import InvalidCode, PairingCode
from isthmus.plugin.core.refusals import Misused, Refused

CODE = PairingCode.new(bytes(17))


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("answer", ["y\n", "YES\n"])
def test_confirmed(answer: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    terminal.confirm(["What is lost."], "Lose it?", is_confirmed=False)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "What is lost.\nLose it? [y/N] ")


@pytest.mark.parametrize("answer", ["", "\n", "n\n", "yesterday\n"])
def test_not_confirmed(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    with pytest.raises(Refused, match=r"^nothing was changed$"):
        terminal.confirm([], "Lose it?", is_confirmed=False)


def test_confirmed_on_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    terminal.confirm([], "Lose it?", is_confirmed=True)
    with pytest.raises(Misused, match="--yes"):
        terminal.confirm([], "Lose it?", is_confirmed=False)


def test_file_is_private_and_replaces_none(tmp_path: Path) -> None:
    path = tmp_path / "file"
    terminal.require_new_file(path)
    terminal.write_private(path, b"content")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"content", 0o600)
    with pytest.raises(Misused, match="exists already"):
        terminal.require_new_file(path)
    with pytest.raises(Refused, match="File exists"):
        terminal.write_private(path, b"other")
    assert path.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_dangling_link_is_no_new_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    with pytest.raises(Misused, match="exists already"):
        terminal.require_new_file(tmp_path / "link")


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(Misused, match=r"^cannot read the file .*/absent: No such file or directory$"):
        terminal.read_file(str(tmp_path / "absent"), "file")
    with pytest.raises(Misused, match=r"^cannot create .*/absent/file: no such directory"):
        terminal.require_new_file(tmp_path / "absent" / "file")
    with pytest.raises(Refused, match=r"^cannot write .*: No such file or directory$"):
        terminal.write_private(tmp_path / "absent" / "file", b"")


def test_new_code_needs_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal.new_code(str(tmp_path / "code"), "json") != terminal.new_code(str(tmp_path / "code"), "json")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(Misused, match="to a terminal only"):
        terminal.new_code(None, "text")
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert terminal.new_code(None, "text")
    with pytest.raises(Misused, match="to a terminal only"):
        terminal.new_code(None, "json")


def test_code_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").write_text(CODE.text() + "\n")
    assert terminal.ask_code(str(tmp_path / "code")) == CODE
    (tmp_path / "code").write_bytes(b"\xff" * 28)
    with pytest.raises(InvalidCode):
        terminal.ask_code(str(tmp_path / "code"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(CODE.text() + "\nmore"))
    assert terminal.ask_code("-") == CODE
    with pytest.raises(Misused, match="asked for at a terminal"):
        terminal.ask_code(None)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(terminal, "getpass", lambda *_: CODE.text())
    assert terminal.ask_code(None) == CODE
