"""One peer's API. The server is not trusted: its answers are bounded in size and time, redirects are not followed.

The standard library's client is used since it follows no redirects, ignores proxies of the environment, and sends no
credentials but the given ones.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlencode

from isthmus.model.api.objects import GROUP, VERSION, CustomObject
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import Forbidden, Invalid, NotFound, Unavailable
from isthmus.model.peerkubeconfig import PeerCredential

_TIMEOUT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0
_PAGE: Final = 500
_MAX_ITEMS: Final = 5_000
_MAX_BYTES: Final = 16 * 1024 * 1024
_CHUNK_BYTES: Final = 256 * 1024

Documents = list[Mapping[str, Any]]


class PeerApi:
    """Reads one namespace of one peer."""

    def __init__(self, credential: PeerCredential, namespace: str) -> None:
        """Raises Invalid if the credential's certificates or key cannot be parsed."""
        self._credential = credential
        self._namespace = namespace
        self._context = _tls(credential)

    def read(self) -> tuple[Documents, Documents, str]:
        """All PeerLinks, all ExpansionLinks, and the latter's resourceVersion to watch from. Raises ExternalError."""
        with self._connection() as connection:
            budget = _ReadBudget()
            peer_links, _ = self._list(connection, PeerLink, budget)
            links, version = self._list(connection, ExpansionLink, budget)
            return peer_links, links, version

    def wait_for_change(self, version: str, timeout_seconds: float) -> bool:
        """Wait for a change of an ExpansionLink; False after the timeout. Raises ExternalError."""
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": str(max(1, round(timeout_seconds)))}
        with self._connection(_TIMEOUT_SECONDS + timeout_seconds) as connection:
            response = self._request(connection, ExpansionLink, query)
            return bool(response.read1(_CHUNK_BYTES))

    @contextmanager
    def _connection(self, timeout_seconds: float = _TIMEOUT_SECONDS) -> Iterator[http.client.HTTPSConnection]:
        connection = _Connection(self._credential, timeout_seconds, self._context)
        try:
            yield connection
        except http.client.HTTPException as error:  # its text would quote the peer's bytes
            raise Unavailable(f"not an HTTP server: {type(error).__name__}") from error
        except (OSError, UnicodeError) as error:  # the last: an invalid host name
            raise Unavailable(f"{type(error).__name__}: {error}"[:256] + self._hint(error)) from error
        finally:
            connection.close()

    def _hint(self, error: Exception) -> str:
        is_public = self._credential.authority is None and isinstance(error, ssl.SSLCertVerificationError)
        return " (the kubeconfig has no certificate-authority-data: only public authorities are trusted)" * is_public

    def _list(
        self, connection: http.client.HTTPSConnection, kind: type[CustomObject], budget: _ReadBudget
    ) -> tuple[Documents, str]:
        found: Documents = []
        query = {"limit": str(_PAGE)}
        while True:
            page = _document(budget.read(self._request(connection, kind, query)))
            found += _items(page)
            if len(found) > _MAX_ITEMS:
                raise Invalid(f"more than {_MAX_ITEMS} {kind.registration.plural}")
            metadata = page.get("metadata")
            metadata = metadata if isinstance(metadata, dict) else {}
            if not metadata.get("continue"):
                return found, str(metadata.get("resourceVersion", ""))[:64]
            query["continue"] = str(metadata["continue"])[:4096]

    def _request(
        self, connection: http.client.HTTPSConnection, kind: type[CustomObject], query: Mapping[str, str]
    ) -> http.client.HTTPResponse:
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{self._namespace}/{kind.registration.plural}"
        headers = {"Accept": "application/json"}
        if self._credential.token:
            headers["Authorization"] = f"Bearer {self._credential.token}"
        connection.request("GET", f"{self._credential.path}{path}?{urlencode(query)}", headers=headers)
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            raise _error_of_status(response.status, kind)
        return response


class _Connection(http.client.HTTPSConnection):
    """Verifies the server's certificate against the name that the kubeconfig gives it."""

    def __init__(self, credential: PeerCredential, timeout_seconds: float, context: ssl.SSLContext) -> None:
        super().__init__(credential.host, credential.port, timeout=timeout_seconds, context=context)
        self._tls, self._server_name = context, credential.server_name or credential.host

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


class _ReadBudget:
    """The size and time limit of one complete read of a peer."""

    def __init__(self) -> None:
        self._bytes = _MAX_BYTES
        self._deadline = time.monotonic() + _READ_SECONDS

    def read(self, response: http.client.HTTPResponse) -> bytes:
        """The complete body. Raises Invalid beyond the size limit, Unavailable beyond the time limit."""
        parts: list[bytes] = []
        with response:  # read1 does not close it at its end, which would block the connection's next request
            while part := response.read1(_CHUNK_BYTES):
                self._bytes -= len(part)
                if self._bytes < 0:
                    raise Invalid(f"the answer is larger than {_MAX_BYTES} bytes")
                if time.monotonic() > self._deadline:
                    raise Unavailable(f"the answer took longer than {_READ_SECONDS:g} s")
                parts.append(part)
        return b"".join(parts)


def _tls(credential: PeerCredential) -> ssl.SSLContext:
    """A TLS context that trusts the kubeconfig's certificate authority only; the public ones if it has none."""
    try:
        context = ssl.create_default_context(cadata=credential.authority)
        if credential.certificate:
            with open(os.memfd_create("isthmus-peer"), "wb") as file:  # OpenSSL loads it from files only
                file.write(credential.certificate)
                file.flush()
                # Without a password argument OpenSSL would ask for one on the terminal.
                context.load_cert_chain(f"/proc/self/fd/{file.fileno()}", password="")
    except (ssl.SSLError, ValueError) as error:
        raise Invalid(f"certificate-authority-data or client certificate: {error}"[:256]) from error
    return context


def _error_of_status(status: int, kind: type[CustomObject]) -> Exception:
    what = kind.registration.plural
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return Forbidden(f"the peer denies reading its {what} ({status})")
    if status == http.HTTPStatus.NOT_FOUND:
        return NotFound(f"the peer does not serve {what} for this cloud (404)")
    return Unavailable(f"the peer's API answered {status}")


def _document(body: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise Invalid("the answer is not an object")
    return document


def _items(page: Mapping[str, Any]) -> Documents:
    items = page.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Invalid("the answer is not a list of objects")
    return items
