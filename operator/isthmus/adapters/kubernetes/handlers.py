"""ports.ObjectWatch with kopf: its handlers pass on the objects of the kinds that administrators and tenants write.

kopf does not report what was deleted while its watch was interrupted, nor when its list is complete. So each kind is
also listed: at the start, shortly after kopf has listed it (again), and from time to time.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from isthmus.model.errors import ExternalError, Unavailable
from isthmus.ports import Observer

from .client import Client
from .kopfoperator import Handler, KopfOperator
from .lists import report_list
from .resources import Resource

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListTiming:
    """Seconds."""

    request: float = 10.0
    settle: float = 3.0
    """After the last object of a list of kopf's, or the end of its operator."""
    first_retry: float = 1.0
    max_retry: float = 30.0
    verify: float = 300.0
    """Between two complete lists of a kind."""


class KopfObjectWatch:
    """Watches kinds by their names with one kopf operator."""

    def __init__(
        self,
        watched: Mapping[str, Resource],
        kubeconfig: str | None,
        manager: str,
        *,
        timing: ListTiming | None = None,
        page_size: int = 500,
    ) -> None:
        """Raises Invalid if the kubeconfig does not exist; connects after `start`."""
        self._watched, self._kubeconfig = dict(watched), kubeconfig
        self._timing = timing or ListTiming()
        self._client = Client(kubeconfig, manager, self._timing.request, page_size)
        self._lists: KindLists | None = None
        self._operator: KopfOperator | None = None

    def start(self, observer: Observer) -> None:
        """Start one thread for kopf and one for the lists."""
        lists = self._lists = KindLists(self._client, self._watched, observer, self._timing)
        handlers: dict[Resource, Handler] = {
            resource: partial(_pass_on, observer, lists, kind) for kind, resource in self._watched.items()
        }
        self._operator = KopfOperator(handlers, self._kubeconfig, None)
        threading.Thread(target=lists.run, name="watch-lists", daemon=True).start()
        self._operator.start(lists.expire_all)

    def stop(self) -> None:
        """Threads end with their request."""
        if self._operator is not None and self._lists is not None:
            self._operator.stop()
            self._lists.stop()


def _pass_on(observer: Observer, lists: KindLists, kind: str, type_: str | None, manifest: dict[str, Any]) -> None:
    if type_ == "DELETED":
        observer.removed(kind, manifest)
        return
    if type_ is None:
        lists.expire(kind)
    observer.changed(kind, manifest)


class KindLists:
    """Lists each kind when that is due."""

    def __init__(self, client: Client, watched: Mapping[str, Resource], observer: Observer, timing: ListTiming) -> None:
        self._client, self._observer, self._timing = client, observer, timing
        self._paths = {kind: resource.path() for kind, resource in watched.items()}
        self._due_at = dict.fromkeys(watched, 0.0)
        self._failures = dict.fromkeys(watched, 0)
        self._condition = threading.Condition()
        self._is_stopped = False

    def expire(self, kind: str) -> None:
        """List a kind again soon: something may have been missed."""
        with self._condition:
            if self._due_at[kind] > 0:  # it is listed for the first time otherwise
                self._due_at[kind] = time.monotonic() + self._timing.settle
                self._condition.notify()

    def expire_all(self) -> None:
        """List all kinds again soon."""
        for kind in self._paths:
            self.expire(kind)

    def stop(self) -> None:
        """End soon."""
        with self._condition:
            self._is_stopped = True
            self._condition.notify()

    def run(self) -> None:
        """Until stopped. An unforeseen answer of the server is a failure like any other: the thread must not end."""
        while (kind := self._next()) is not None:
            try:
                report_list(self._client, self._paths[kind], kind, self._observer)
            except ExternalError as error:
                self._fail(kind, error)
            except (ValueError, LookupError, TypeError, AttributeError) as error:
                self._fail(kind, Unavailable(f"an answer has an unexpected form ({type(error).__name__})"))
            else:
                self._failures[kind] = 0

    def _next(self) -> str | None:
        """The next kind that is due, which is then due again after the usual time; None when stopped."""
        with self._condition:
            while not self._is_stopped:
                kind, due_at = min(self._due_at.items(), key=lambda item: item[1])
                now = time.monotonic()
                if due_at <= now:
                    self._due_at[kind] = now + self._timing.verify
                    return kind
                self._condition.wait(due_at - now)
            return None

    def _fail(self, kind: str, error: ExternalError) -> None:
        _LOG.debug("listing %s: %s", kind, error)
        self._observer.failed(kind, error)
        backoff = self._timing.first_retry * 2.0 ** min(self._failures[kind], 10)
        self._failures[kind] += 1
        with self._condition:
            self._due_at[kind] = time.monotonic() + min(backoff, self._timing.max_retry)
