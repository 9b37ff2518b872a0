"""Files, questions and secrets of the user. Questions go to standard error, for standard output has the answer."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Sequence
from getpass import getpass
from pathlib import Path

from .core.bundles.code import RANDOM_BYTES, PairingCode
from .core.refusals import Misused, Refused

_STDIN = "-"


def read_file(name: str, what: str) -> bytes:
    """The content of a file that is an argument."""
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise Misused(f"cannot read the {what} {name}: {error.strerror}") from None


def require_new_file(path: Path) -> None:
    """Raise Misused if the file exists, or could not be created."""
    if path.exists() or path.is_symlink():
        raise Misused(f"{path} exists already: remove it, or choose another name")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise Misused(f"cannot create {path}: no such directory, or no right to write there")


def write_private(path: Path, content: bytes) -> None:
    """Create a file that only its owner can read; it is there as a whole, or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.link(temporary, path)  # fails if somebody else has created it meanwhile, unlike a rename
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def new_code(file: str | None, output: str) -> PairingCode:
    """A new pairing code. It is written later, so there must be a place for it: the file, or text at a terminal."""
    if file is None and not (output == "text" and sys.stdout.isatty()):
        raise Misused("the pairing code is printed to a terminal only: use one, or --code-file FILE")
    if file is not None:
        require_new_file(Path(file))
    return PairingCode.new(secrets.token_bytes(RANDOM_BYTES))


def ask_code(file: str | None) -> PairingCode:
    """The pairing code from a file, or from the user, without an echo. Raises InvalidCode."""
    if file == _STDIN:
        return PairingCode.parse(sys.stdin.readline())
    if file is not None:
        return PairingCode.parse(read_file(file, "pairing code").decode("utf-8", "replace"))
    if not sys.stdin.isatty():
        raise Misused("the pairing code is asked for at a terminal: use one, or --code-file FILE")
    try:
        return PairingCode.parse(getpass("pairing code: ", sys.stderr))
    except EOFError:
        raise Refused("no pairing code was given, nothing was changed") from None


def confirm(lines: Sequence[str], question: str, is_confirmed: bool) -> None:
    """Ask the user, unless the answer is on the command line. Raises Refused for any answer but yes."""
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise Misused("nothing was changed: to confirm without a terminal, add --yes")
    if not ask(lines, question):
        raise Refused("nothing was changed")


def ask(lines: Sequence[str], question: str) -> bool:
    """Ask the user at the terminal; anything but yes is no."""
    print("\n".join([*lines, f"{question} [y/N] "]), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def report(line: str) -> None:
    """Show how far a verb is that takes long."""
    print(line, file=sys.stderr, flush=True)
