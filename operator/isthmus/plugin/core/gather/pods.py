"""Which logs there are to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..documents import Document, entries, number, text


@dataclass(frozen=True)
class Log:
    """The log of one container, or of its predecessor in the same pod."""

    namespace: str
    pod: str
    container: str
    is_previous: bool = False

    @property
    def file(self) -> str:
        """Its place in the archive."""
        suffix = ".previous.log" if self.is_previous else ".log"
        return f"logs/{self.namespace}/{self.pod}/{self.container}{suffix}"

    def arguments(self, since: str, lines: int) -> tuple[str, ...]:
        """Of kubectl."""
        previous = ("--previous",) if self.is_previous else (f"--since={since}",)
        where = ("-n", self.namespace, self.pod, "-c", self.container)
        return ("logs", *where, "--timestamps", f"--tail={lines}", *previous)


def logs(items: Iterable[Document]) -> list[Log]:
    """The logs of all containers of the pods among the items."""
    return [log for item in items if text(item, "kind") == "Pod" for log in _of_pod(item)]


def _of_pod(item: Document) -> Iterator[Log]:
    namespace, pod = text(item, "metadata", "namespace"), text(item, "metadata", "name")
    for part in ("containerStatuses", "initContainerStatuses"):
        for status in entries(item, "status", part):
            yield Log(namespace, pod, text(status, "name"))
            if number(status, "restartCount"):
                yield Log(namespace, pod, text(status, "name"), is_previous=True)
