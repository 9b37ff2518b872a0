"""How kopf logs in: with what `access` loads for requests, so that a kubeconfig works for both or for neither."""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from isthmus.model.errors import ExternalError

from .access import load

if TYPE_CHECKING:
    from kopf import ConnectionInfo

_LOG = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_LOGIN_SECONDS = 600  # shorter than the 12 minutes between the renewal of a pod's token and its expiry


class Login:
    """The logins of one kopf operator."""

    def __init__(self, kubeconfig: str | None, stop: threading.Event) -> None:
        self._kubeconfig = kubeconfig
        self._stop = stop
        self._ends: datetime | None = None

    def restart(self) -> None:
        """The operator is started again: its first login is no repetition."""
        self._ends = None

    def log_in(self, **_: object) -> ConnectionInfo:
        """Called by kopf at the start, when a login expires, and when a request is answered with 401.

        kopf does not accept credentials equal to ones that were rejected: its operator would end, or hang while
        ending. A new expiration makes them unequal; the pause between attempts is made here.
        """
        import kopf

        try:
            if self._ends and datetime.now(UTC) < self._ends:
                _LOG.warning("watching: the API server refused the credentials or closed the session")
                self._stop.wait(_RETRY_SECONDS)
            self._ends = None
            found = credentials(self._kubeconfig)
        except ExternalError as error:
            raise kopf.TemporaryError(str(error), delay=_RETRY_SECONDS) from error
        self._ends = datetime.now(UTC) + timedelta(seconds=_LOGIN_SECONDS)
        return replace(found, expiration=self._ends)


def credentials(kubeconfig: str | None) -> ConnectionInfo:
    """The current credentials; raises `ExternalError` subclasses, as `access.load` does."""
    import kopf

    access = load(kubeconfig)
    scheme, _, token = (access.authorization() or "").partition(" ")

    class Connection(kopf.ConnectionInfo):
        """With the TLS context that requests use: kopf's own knows no server name and writes keys to files."""

        def as_ssl_context(self) -> ssl.SSLContext:
            return access.tls

    return Connection(
        server=access.configuration.host,
        scheme=scheme or None,
        token=token or None,
        proxy_url=access.configuration.proxy,
    )
