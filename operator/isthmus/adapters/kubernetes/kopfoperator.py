"""A kopf operator on a thread of its own, whose handlers pass on the events of some kinds."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from isthmus.model.errors import ExternalError, NotFound

from .client import Client
from .login import Login
from .resources import Resource

if TYPE_CHECKING:
    from kopf import OperatorRegistry, OperatorSettings

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_REQUEST_TIMEOUT_SECONDS = 10.0
_END_SECONDS = 8.0  # from the beginning of an operator's end, after which what is left of it is abandoned
_CANCEL_SECONDS = 1.0
_SERVER_TIMEOUT_SECONDS = 300  # after which the server ends a watch, so that one that it has lost is opened again
_SILENCE_SECONDS = 70.0  # after which a watch counts as lost on the way: servers send a bookmark every minute
_PAGE_SIZE = 500
# kopf starts a task for each object of a list and keeps it, with all its content, until it has been idle: 10,000 of
# them took 200 MB. With these settings an object that is watched costs 2.6 kB.
_MAX_TASKS = 50
_TASK_IDLE_SECONDS = 0.05


class Handler(Protocol):
    """Receives each event of one kind, on the operator's thread. MUST be quick, and raise nothing."""

    def __call__(self, type_: str | None, manifest: dict[str, Any]) -> None:
        """`ADDED`, `MODIFIED` or `DELETED`; None for an object of a list, which kopf reads at the start of a watch."""
        ...


class KopfOperator:
    """Runs kopf until stopped, also through outages of the API.

    kopf finds out which kinds exist at its start only. It is started again when a kind appears that was missing then.
    """

    def __init__(self, handlers: Mapping[Resource, Handler], kubeconfig: str | None, namespace: str | None) -> None:
        """Watches in one namespace, or in all for None."""
        self._handlers = dict(handlers)
        self._place: dict[str, Any] = {"namespaces": [namespace]} if namespace else {"clusterwide": True}
        self._kubeconfig = kubeconfig
        self._stop = threading.Event()
        self._login = Login(kubeconfig, self._stop)
        self._client: Client | None = None
        self._end_operator: Callable[[], object] = lambda: None

    def start(self, restarted: Callable[[], None]) -> None:
        """Start watching; `restarted` is called whenever events may have been missed."""
        threading.Thread(target=self._run, args=(restarted,), name="watch", daemon=True).start()

    def stop(self) -> None:
        """Stop soon."""
        self._stop.set()
        with suppress(RuntimeError):  # the operator has ended already, and its event loop is closed
            self._end_operator()

    def _run(self, restarted: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                _run_and_abandon(self._operate())
            except Exception as error:  # kopf ends for good if its first request fails
                _LOG.warning("watching: %s: %s", type(error).__name__, error)
            restarted()
            self._stop.wait(_RETRY_SECONDS)

    async def _operate(self) -> None:
        import kopf  # imported here, because it takes a large part of the start-up time and the process need not wait

        logging.getLogger("kopf").setLevel(logging.ERROR)
        # With a threading.Event, kopf would wait in a thread that delays the end.
        stop, is_ending = asyncio.Event(), asyncio.Event()
        self._end_operator = partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set)
        self._login.restart()
        missing = await asyncio.to_thread(self._missing)
        if self._stop.is_set():
            return
        is_complete = missing is not None and not missing
        waiting = asyncio.create_task(asyncio.sleep(0) if is_complete else self._end_when_found(stop, missing))
        operator = asyncio.create_task(
            kopf.operator(
                registry=self._registry(kopf.OperatorRegistry(), is_ending),
                settings=_settings(kopf.OperatorSettings()),
                standalone=True,
                stop_flag=stop,
                **self._place,
            )
        )
        operator.add_done_callback(lambda _: is_ending.set())
        await is_ending.wait()
        waiting.cancel()
        await asyncio.wait({operator}, timeout=_END_SECONDS)
        if operator.done():
            operator.result()

    def _registry(self, registry: OperatorRegistry, is_ending: asyncio.Event) -> OperatorRegistry:
        import kopf

        async def on_cleanup(**_: Any) -> None:
            is_ending.set()

        kopf.on.cleanup(registry=registry)(on_cleanup)
        kopf.on.login(registry=registry, backoff=_RETRY_SECONDS)(self._login.log_in)
        for resource, handler in self._handlers.items():
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(_passing(handler))
        return registry

    async def _end_when_found(self, ended: asyncio.Event, missing: frozenset[str] | None) -> None:
        """End when one of the `missing` kinds exists; if they are not known, once it can be read which do."""
        now: frozenset[str] | None = None
        while now is None or (missing is not None and missing <= now):
            await asyncio.sleep(_RETRY_SECONDS)
            now = await asyncio.to_thread(self._missing)
        if missing:
            _LOG.info("watching also %s, which did not exist before", ", ".join(sorted(missing - now)))
        ended.set()

    def _missing(self) -> frozenset[str] | None:
        """The kinds that do not exist, by their plurals; None if that cannot be read."""
        try:
            if self._client is None:
                self._client = Client(self._kubeconfig, "isthmus", _REQUEST_TIMEOUT_SECONDS, _PAGE_SIZE)
            existing = _existing(self._client, self._handlers)
        except ExternalError as error:
            _LOG.debug("watching: which kinds exist cannot be read: %s", error)
            return None
        return frozenset(resource.plural for resource in self._handlers if resource not in existing)


def _run_and_abandon(main: Coroutine[Any, Any, None]) -> None:
    """Run in an event loop of its own, and end although tasks are left: kopf's watchers may ignore cancellation."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, context: _LOG.debug("watching: %s", context.get("message")))
    try:
        loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_CANCEL_SECONDS))
        loop.close()


def _existing(client: Client, wanted: Iterable[Resource]) -> set[Resource]:
    """Those of the resources that the API server serves."""
    served: dict[str, set[str]] = {}
    for path in {resource.root for resource in wanted}:
        with suppress(NotFound):
            served[path] = {str(found.get("name")) for found in client.get(path).get("resources") or ()}
    return {resource for resource in wanted if resource.plural in served.get(resource.root, ())}


def _passing(handler: Handler) -> Callable[..., Any]:
    async def on_event(event: Mapping[str, Any], **_: Any) -> None:
        handler(event["type"], event["object"])

    return on_event


def _settings(settings: OperatorSettings) -> OperatorSettings:
    settings.posting.enabled = False
    settings.scanning.disabled = True  # would need the right to watch CRDs
    settings.watching.server_timeout = _SERVER_TIMEOUT_SECONDS
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.chunk_size = _PAGE_SIZE
    settings.queueing.worker_limit = _MAX_TASKS
    settings.queueing.idle_timeout = _TASK_IDLE_SECONDS
    settings.networking.request_timeout = _REQUEST_TIMEOUT_SECONDS
    settings.process.ultimate_exiting_timeout = None  # kopf would kill the whole process
    return settings
