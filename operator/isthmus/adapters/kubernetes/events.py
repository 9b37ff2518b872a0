"""Manifests of Events."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Lock
from typing import Final

from isthmus.model.api.objects import CustomObject
from isthmus.model.names import API_VERSION, digest
from isthmus.ports import Manifest

_REMEMBERED: Final = 4096


class Events:
    """Manifests of Events that this process records, of which repetitions are one with a count. Thread-safe.

    As with client-go, only what was recorded since the process started counts, and only so much of it.
    """

    def __init__(self, reporter: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._reporter = reporter
        self._now = now
        self._lock = Lock()
        self._recorded: OrderedDict[str, tuple[str, int]] = OrderedDict()
        """Time of the first occurrence and number of occurrences, by name; the latest last."""

    def manifest(self, obj: CustomObject, type_: str, reason: str, message: str) -> Manifest:
        """An Event whose name is a digest of its content: a repetition updates it instead of adding another one."""
        about = obj.metadata
        name = f"{about.name[:200]}.{digest(about.uid or '', type_, reason, message, digits=16)}"
        now = self._now().strftime("%Y-%m-%dT%H:%M:%SZ")
        first, count = self._count(name, now)
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": about.namespace or "default"},
            "involvedObject": {
                "apiVersion": API_VERSION,
                "kind": obj.registration.kind,
                "name": about.name,
                "namespace": about.namespace or "",
                "uid": about.uid or "",
            },
            "type": type_,
            "reason": reason,
            "message": message[:1024],
            "firstTimestamp": first,
            "lastTimestamp": now,
            "count": count,
            "source": {"component": self._reporter},
            "reportingComponent": self._reporter,
        }

    def _count(self, name: str, now: str) -> tuple[str, int]:
        with self._lock:
            first, count = self._recorded.pop(name, (now, 0))
            self._recorded[name] = first, count + 1
            if len(self._recorded) > _REMEMBERED:
                self._recorded.popitem(last=False)
        return first, count + 1
