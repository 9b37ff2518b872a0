"""A process of Isthmus that is killed after an effect: `python -m tests.testbed.install.killed ROLE PORT.METHOD`.

It kills itself with SIGKILL after the first call of that method of `Backends`, and logs the effect before.
"""

import os
import signal
import sys
from dataclasses import replace
from typing import Any, Final, TypeVar

from isthmus.cli.configuration import load
from isthmus.model.settings import AgentSettings, ControllerSettings
from isthmus.ports import is_effect

LAST_WORDS: Final = "killed after "

W = TypeVar("W")


class _Fatal:
    """A port with one method that kills the process after its first call."""

    def __init__(self, port: object, name: str, method: str) -> None:
        self._port, self._name, self._method = port, name, method

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        return method if name != self._method else lambda *given, **named: self._die(method(*given, **named))

    def _die(self, _result: object) -> None:
        print(f"{LAST_WORDS}{self._name}.{self._method}", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)


def kill_after(backends: W, effect: str) -> W:
    """The same backends; the process is killed after that effect."""
    port, _, method = effect.partition(".")
    if not is_effect(method) or not hasattr(getattr(backends, port), method):
        raise ValueError(f"there is no effect {effect}")
    return replace(backends, **{port: _Fatal(getattr(backends, port), port, method)})  # type: ignore[type-var]


def main(role: str, effect: str) -> None:
    """Run the process as its command line does."""
    if role == "agent":
        _agent(load(AgentSettings), effect)
    else:
        _controller(load(ControllerSettings), effect)


def _agent(settings: AgentSettings, effect: str) -> None:
    from isthmus.agent.assembly import assemble
    from isthmus.agent.run import run

    run(settings, kill_after(assemble(settings), effect))


def _controller(settings: ControllerSettings, effect: str) -> None:
    from isthmus.controller.assembly import assemble
    from isthmus.controller.run import run

    run(settings, kill_after(assemble(settings), effect))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
