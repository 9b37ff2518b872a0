"""Isthmus with a sudden end: `python -m tests.lab.killed controller|agent N` dies by SIGKILL after its N-th effect.

Every effect goes through a port of `Worlds`; here each port is wrapped, and calls that change the outside are counted.
"""

import os
import signal
import sys
from dataclasses import fields, replace
from itertools import count
from typing import Final, TypeVar

from isthmus.cli.configuration import load
from isthmus.model.settings import AgentSettings, ControllerSettings
from tests.fakes.effects import with_effects

_WATCHERS: Final = frozenset({"clock", "watch", "echo", "netlink", "peers", "metrics"})

W = TypeVar("W")


def mortal(worlds: W, limit: int) -> W:
    """The same worlds, in which the process lives for `limit` effects."""
    counter = count(1)

    def done() -> None:
        if next(counter) >= limit:
            os.kill(os.getpid(), signal.SIGKILL)

    wrapped = {
        field.name: with_effects(getattr(worlds, field.name), done)
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
