"""Watches a Kubernetes API with kopf, whose handlers only wake the loop: the loop reads all state again."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.model.errors import ExternalError, Invalid

from .access import load
from .resources import Resource

if TYPE_CHECKING:
    from kopf import ConnectionInfo

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_SERVER_TIMEOUT_SECONDS = 300  # reopens a watch that the server has dropped silently
_LOGIN_SECONDS = 600  # shorter than the 12 minutes between the renewal of a pod's token and its expiry


class KopfWatch:
    """`ports.Watch` on a thread of its own, which survives outages of the API."""

    def __init__(self, watched: Iterable[Resource], kubeconfig: str | None, namespace: str | None = None) -> None:
        """Watches in one namespace, or in all for None."""
        self._watched = tuple(watched)
        self._kubeconfig = kubeconfig
        self._place = {"namespaces": [namespace]} if namespace else {"clusterwide": True}
        self._stop = threading.Event()
        self._login_ends: datetime | None = None
        self._end_operator: Callable[[], object] = lambda: None

    def start(self, wake: Callable[[], None]) -> None:
        """Start watching."""
        threading.Thread(target=self._run, args=(wake,), name="watch", daemon=True).start()

    def stop(self) -> None:
        """Stop soon."""
        self._stop.set()
        with suppress(RuntimeError):  # the operator has ended already, and its event loop is closed
            self._end_operator()

    def _run(self, wake: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._operate(wake))
            except Exception as error:  # kopf ends for good if its first request fails
                _LOG.warning("watching: %s: %s", type(error).__name__, error)
            wake()
            self._stop.wait(_RETRY_SECONDS)

    async def _operate(self, wake: Callable[[], None]) -> None:
        import kopf  # imported here, because it takes a large part of the start-up time and the loop need not wait

        logging.getLogger("kopf").setLevel(logging.ERROR)
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True  # CRDs and namespaces are installed before this process starts
        settings.watching.server_timeout = _SERVER_TIMEOUT_SECONDS
        settings.process.ultimate_exiting_timeout = None  # kopf would kill the whole process
        registry = kopf.OperatorRegistry()

        async def on_event(**_: Any) -> None:
            wake()

        def on_login(**_: Any) -> ConnectionInfo:
            try:
                return self._log_in()
            except ExternalError as error:
                raise kopf.TemporaryError(str(error), delay=_RETRY_SECONDS) from error

        kopf.on.login(registry=registry, backoff=_RETRY_SECONDS)(on_login)
        for resource in self._watched:
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(on_event)
        # With a threading.Event, kopf would wait in a thread that keeps asyncio.run from returning.
        ended = asyncio.Event()
        self._end_operator = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        self._login_ends = None
        if not self._stop.is_set():
            await kopf.operator(registry=registry, settings=settings, standalone=True, stop_flag=ended, **self._place)

    def _log_in(self) -> ConnectionInfo:
        """Called by kopf at the start, when a login expires, and when a request is answered with 401.

        kopf does not accept credentials equal to ones that were rejected: its operator would end, or hang while
        ending. A new expiration makes them unequal; the pause between attempts is made here.
        """
        if self._login_ends and datetime.now(UTC) < self._login_ends:
            _LOG.warning("watching: the API server refused the credentials or closed the session")
            self._stop.wait(_RETRY_SECONDS)
        self._login_ends = None
        found = credentials(self._kubeconfig)
        self._login_ends = datetime.now(UTC) + timedelta(seconds=_LOGIN_SECONDS)
        return replace(found, expiration=self._login_ends)


def credentials(kubeconfig: str | None) -> ConnectionInfo:
    """The current credentials; raises `ExternalError` subclasses, as `access.load` does."""
    import kopf

    access = load(kubeconfig)
    configuration = access.configuration
    if configuration.tls_server_name:
        raise Invalid("kubeconfig: tls-server-name is not supported for watches")
    scheme, _, token = (access.authorization() or "").partition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_data=access.authority,
        insecure=not configuration.verify_ssl,
        scheme=scheme or None,
        token=token or None,
        certificate_data=access.certificate,
        private_key_data=access.key,
        proxy_url=configuration.proxy,
    )
