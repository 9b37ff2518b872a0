"""Several watches as one."""

from __future__ import annotations

from isthmus.ports import ObjectWatch, Observer


class CombinedWatch:
    """`ports.ObjectWatch` over several others."""

    def __init__(self, *watches: ObjectWatch) -> None:
        self._watches = watches

    def start(self, observer: Observer) -> None:
        """Start all of them."""
        for watch in self._watches:
            watch.start(observer)

    def stop(self) -> None:
        """Stop all of them."""
        for watch in self._watches:
            watch.stop()
