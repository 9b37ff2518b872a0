"""Watches of a Kubernetes API by kopf, whose handlers do nothing but wake the loop that looks at everything."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.model.api.objects import GROUP, VERSION, CustomObject

if TYPE_CHECKING:
    from kopf import ConnectionInfo
    from lightkube.config.models import User

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_SERVER_TIMEOUT_SECONDS = 300  # a watch that the server has lost silently is opened again after this long


@dataclass(frozen=True)
class Resource:
    """What to watch, in the API's words."""

    group: str
    version: str
    plural: str


def resources(kinds: Iterable[type[CustomObject]]) -> tuple[Resource, ...]:
    """Kinds of ours."""
    return tuple(Resource(GROUP, VERSION, kind.registration.plural) for kind in kinds)


class KopfWatch:
    """`ports.Watch`, on a thread of its own: an API that is away does not end it."""

    def __init__(self, watched: Iterable[Resource], kubeconfig: str | None) -> None:
        self._watched = tuple(watched)
        self._kubeconfig = kubeconfig
        self._stop = threading.Event()
        self._end_operator: Callable[[], object] = lambda: None

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, args=(wake,), name="watch", daemon=True).start()

    def stop(self) -> None:
        """End soon."""
        self._stop.set()
        with suppress(RuntimeError):  # it has ended by itself, and its loop is closed
            self._end_operator()

    def _run(self, wake: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                asyncio.run(self._operate(wake))
            except Exception as error:  # kopf gives up for good where its first look at the API fails
                _LOG.warning("watching: %s: %s", type(error).__name__, error)
            wake()
            self._stop.wait(_RETRY_SECONDS)

    async def _operate(self, wake: Callable[[], None]) -> None:
        import kopf  # half of the process's start-up time: the loop does not wait for it

        logging.getLogger("kopf").setLevel(logging.ERROR)
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.scanning.disabled = True  # of CRDs and namespaces that come later: ours are there before us
        settings.watching.server_timeout = _SERVER_TIMEOUT_SECONDS
        settings.process.ultimate_exiting_timeout = None  # it would kill the whole process
        registry = kopf.OperatorRegistry()

        async def on_event(**_: Any) -> None:
            wake()

        def on_login(**_: Any) -> ConnectionInfo:
            return credentials(self._kubeconfig)

        kopf.on.login(registry=registry, backoff=_RETRY_SECONDS)(on_login)
        for resource in self._watched:
            kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(on_event)
        # For a threading.Event kopf waits in a thread, without whose end asyncio.run never returns.
        ended = asyncio.Event()
        self._end_operator = partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)
        if not self._stop.is_set():
            await kopf.operator(
                registry=registry, settings=settings, standalone=True, clusterwide=True, stop_flag=ended
            )


def credentials(kubeconfig: str | None) -> ConnectionInfo:
    """Read at every login, which the first request that is refused brings about: tokens are changed under way."""
    import kopf
    from lightkube import KubeConfig

    config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_service_account()
    chosen = config.get()
    if chosen is None or chosen.user is None:
        raise kopf.LoginError("the kubeconfig names no current context with a user")
    cluster, user = chosen.cluster, chosen.user
    token = _token(user)
    return kopf.ConnectionInfo(
        server=cluster.server,
        ca_path=cluster.certificate_auth and chosen.abs_file(cluster.certificate_auth),
        ca_data=cluster.certificate_auth_data,
        insecure=cluster.insecure,
        scheme="Bearer" if token else None,
        token=token,
        certificate_path=user.client_cert and chosen.abs_file(user.client_cert),
        certificate_data=user.client_cert_data,
        private_key_path=user.client_key and chosen.abs_file(user.client_key),
        private_key_data=user.client_key_data,
    )


def _token(user: User) -> str | None:
    """As lightkube takes it: a file wins over what is written beside it."""
    return Path(user.token_file).read_text().strip() if user.token_file is not None else user.token
