"""Isthmus with a sudden end: `python -m tests.lab.killed controller|agent N` dies by SIGKILL after its N-th effect.

Every effect goes through a port of `Worlds`; here each port is wrapped, and calls that change the outside are counted.
"""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import count
from typing import Any, Final, TypeVar

from isthmus.cli.configuration import load
from isthmus.model.settings import AgentSettings, ControllerSettings

_EFFECTS: Final = (
    "add_",
    "apply",
    "create_",
    "delete",
    "ensure_",
    "initiate",
    "load",
    "remove_",
    "replace",
    "retire",
    "set_",
    "tag_",
    "unload",
    "update_",
)
_WATCHERS: Final = frozenset({"clock", "watch", "echo", "netlink", "peers", "metrics"})

W = TypeVar("W")


class _Mortal:
    """A port whose effects are counted; the last one is complete when the process dies."""

    def __init__(self, port: object, number: Callable[[], int], limit: int) -> None:
        self._port, self._number, self._limit = port, number, limit

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not name.startswith(_EFFECTS):
            return method

        def effect(*arguments: Any, **named: Any) -> Any:
            result = method(*arguments, **named)
            if self._number() >= self._limit:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return effect


def mortal(worlds: W, limit: int) -> W:
    """The same worlds, in which the process lives for `limit` effects."""
    counter = count(1)
    wrapped = {
        field.name: _Mortal(getattr(worlds, field.name), lambda: next(counter), limit)
        for field in fields(worlds)  # type: ignore[arg-type]
        if field.name not in _WATCHERS
    }
    return replace(worlds, **wrapped)  # type: ignore[type-var]


def main(role: str, limit: int) -> None:
    """Run the process as its command line would, but for its end."""
    if role == "agent":
        _agent(load(AgentSettings), limit)
    else:
        _controller(load(ControllerSettings), limit)


def _agent(settings: AgentSettings, limit: int) -> None:
    from isthmus.agent.assembly import assemble
    from isthmus.agent.run import run

    run(settings, mortal(assemble(settings), limit))


def _controller(settings: ControllerSettings, limit: int) -> None:
    from isthmus.controller.assembly import assemble
    from isthmus.controller.run import run

    run(settings, mortal(assemble(settings), limit))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
