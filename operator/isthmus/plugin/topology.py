"""Verb `topology`: printed once, or served as a page until it is interrupted."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import tempfile
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Final

from . import terminal
from .core.answer import Answer, ExitCode
from .core.refusals import Misused
from .core.topology import topology
from .kubectl import Kubectl
from .observer import Observer
from .pageserver import PageServer
from .readings import read

_TOKEN_BYTES: Final = 32


def show(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """The topology, or the end of the page."""
    if chosen.serve:
        if chosen.output != "text":
            raise Misused("--output is not for --serve")
        return _serve(kubectl, _port(chosen.port), opens_browser=not chosen.no_browser)
    if chosen.port is not None or chosen.no_browser:
        raise Misused("--port and --no-browser are for --serve")
    return topology(*read(kubectl), output=chosen.output)


VERBS: Final[Mapping[str, Callable[[Kubectl, Namespace], Answer]]] = MappingProxyType({"topology": show})


def _serve(kubectl: Kubectl, port: int, *, opens_browser: bool) -> Answer:
    observer = Observer(lambda: read(kubectl))
    observer.latest()  # a cluster that cannot be read is a sentence, and no page
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    try:
        server = PageServer(port, token, observer)
    except OSError as error:
        raise Misused(f"cannot listen on port {port} of 127.0.0.1: {error.strerror}") from None
    address = f"http://127.0.0.1:{server.server_port}/#{token}"
    with server, _ended_by_signals(), _redirecting_file(address) as file, suppress(KeyboardInterrupt):
        print(f"{address}\nWhoever has this address can read the page. Interrupt to end it (Ctrl-C).", flush=True)
        if opens_browser:
            _open(file)
        server.serve_forever()
    return Answer("topology", ExitCode.FINE, {}, lambda _style: ["The page has ended."])


def _port(text: str | None) -> int:
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or not 1024 <= int(text) <= 65535:
        raise Misused(f"--port must be a number from 1024 to 65535, not {text!r}")
    return int(text)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Have the signals of a closed terminal and of `kill` end the page as Ctrl-C does, so that no file is left."""
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _redirecting_file(address: str) -> Iterator[Path]:
    """A file of this user alone that leads to the page: every user could see the token on a command line."""
    with tempfile.TemporaryDirectory(prefix="kubectl-isthmus-") as directory:
        path = Path(directory) / "topology.html"
        content = f'<!doctype html><meta http-equiv="refresh" content="0; url={escape(address)}">\n'
        terminal.write_private(path, content.encode())
        yield path


def _open(file: Path) -> None:
    if not _has_display() or not webbrowser.open(file.as_uri()):
        print("No browser was found: open the address yourself.", file=sys.stderr)


def _has_display() -> bool:
    """Without one, a browser for terminals might be started on Linux, which would draw over the address."""
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")))
