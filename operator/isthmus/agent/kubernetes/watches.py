"""Several watches as one."""

from __future__ import annotations

from collections.abc import Callable

from isthmus.ports import Watch


class Watches:
    """`ports.Watch` over several others."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = watches

    def start(self, wake: Callable[[], None]) -> None:
        """Start all of them."""
        for watch in self._watches:
            watch.start(wake)

    def stop(self) -> None:
        """Stop all of them."""
        for watch in self._watches:
            watch.stop()
