"""ports.Watch with kopf, whose handlers only wake the loop: the loop reads all state again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .kopfoperator import KopfOperator
from .resources import Resource


class KopfWatch:
    """Survives outages of the API, and kinds that are missing at its start."""

    def __init__(self, watched: Iterable[Resource], kubeconfig: str | None, namespace: str | None = None) -> None:
        """Watches in one namespace, or in all for None."""
        self._wake: Callable[[], None] = lambda: None
        self._operator = KopfOperator(dict.fromkeys(watched, self._on_event), kubeconfig, namespace)

    def start(self, wake: Callable[[], None]) -> None:
        """Start watching."""
        self._wake = wake
        self._operator.start(wake)

    def stop(self) -> None:
        """Stop soon."""
        self._operator.stop()

    def _on_event(self, type_: str | None, manifest: dict[str, Any]) -> None:
        self._wake()
