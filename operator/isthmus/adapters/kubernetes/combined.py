"""Several watches as one."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

R = TypeVar("R", contravariant=True)


class _Watch(Protocol[R]):
    """`ports.Watch` or `ports.ObjectWatch`, by what it reports to."""

    def start(self, receiver: R, /) -> None: ...
    def stop(self) -> None: ...


class CombinedWatch(Generic[R]):
    """A watch of the same sort over several others."""

    def __init__(self, *watches: _Watch[R]) -> None:
        self._watches = watches

    def start(self, receiver: R, /) -> None:
        """Start all of them."""
        for watch in self._watches:
            watch.start(receiver)

    def stop(self) -> None:
        """Stop all of them."""
        for watch in self._watches:
            watch.stop()
