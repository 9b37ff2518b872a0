"""A fake of ports.ObjectWatch, and proxies by which several threads may use the fakes of one cloud."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from typing import Any, Final, TypeVar, cast

from isthmus.controller.feed import WATCHED
from isthmus.ports import Manifest, Observer

from .store import Key, Store

P = TypeVar("P")
_POLL_SECONDS: Final = 0.02


class FakeObjectWatch:
    """Compares a Store with what it reported last, on a thread of its own."""

    def __init__(self, store: Store, lock: AbstractContextManager[object]) -> None:
        self._store, self._lock = store, lock
        self._stop = threading.Event()
        self._reported: dict[Key, Manifest] = {}

    def start(self, observer: Observer) -> None:
        threading.Thread(target=self._run, args=(observer,), name="fake-watch", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self, observer: Observer) -> None:
        self._reported = self._read()
        for kind in WATCHED:
            observer.listed(kind, [m for key, m in self._reported.items() if key.kind == kind])
        while not self._stop.wait(_POLL_SECONDS):
            self._report(observer)

    def _report(self, observer: Observer) -> None:
        before, self._reported = self._reported, self._read()
        for key in before.keys() - self._reported.keys():
            observer.removed(key.kind, before[key])
        for key, manifest in self._reported.items():
            if before.get(key) != manifest:
                observer.changed(key.kind, manifest)

    def _read(self) -> dict[Key, Manifest]:
        with self._lock:
            found = {key: self._store.read(key) for key in self._store.entries if key.kind in WATCHED}
        return {key: manifest for key, manifest in found.items() if manifest is not None}


def one_at_a_time(port: P, lock: AbstractContextManager[object]) -> P:
    """The port, with one call at a time in all threads."""
    return cast(P, _Serialized(port, lock))


class _Serialized:
    def __init__(self, port: object, lock: AbstractContextManager[object]) -> None:
        self._port, self._lock = port, lock

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            method = getattr(self._port, name)
        if not callable(method):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            with self._lock:
                return method(*arguments, **named)

        return call
