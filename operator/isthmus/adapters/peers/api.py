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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from isthmus.model.api.objects import CustomObject
from isthmus.model.errors import Forbidden, Invalid, NotFound, Unavailable
from isthmus.model.names import GROUP, VERSION
from isthmus.model.peerkubeconfig import PeerCredential

_TIMEOUT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0
_PAGE: Final = 100
_MAX_PAGES: Final = 500
_MAX_PAGE_BYTES: Final = 16 * 1024 * 1024
_MAX_EVENT_BYTES: Final = 2 * 1024 * 1024  # an API server stores no object that is larger
_CHUNK_BYTES: Final = 256 * 1024

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A part of a list: its objects, and the version of the list, from which it can be watched."""

    items: Sequence[Document]
    version: str


@dataclass(frozen=True)
class Event:
    """One line of a watch; `type` is as the API server names it, empty for a line that is no event."""

    type: str
    document: Document

    @property
    def version(self) -> str:
        """The version that the watch has arrived at; empty if the line does not tell."""
        return _text(self.document.get("metadata"), "resourceVersion", 64)


class PeerApi:
    """Reads one kind in one namespace of one peer, over a connection that is kept open between requests."""

    def __init__(self, credential: PeerCredential, namespace: str, kind: type[CustomObject]) -> None:
        """Raises Invalid if the credential's certificates or key cannot be parsed."""
        self._credential = credential
        self._kind = kind
        self._path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{kind.registration.plural}"
        self._connection = _Connection(credential, _tls(credential))

    def pages(self) -> Iterator[Page]:
        """The complete list, page by page. Raises ExternalError; the last page has no successor."""
        query = {"limit": str(_PAGE)}
        for _ in range(_MAX_PAGES):
            with self._get(query, _TIMEOUT_SECONDS) as response:
                page = _document(_body(response))
            metadata = page.get("metadata")
            yield Page(_items(page), _text(metadata, "resourceVersion", 64))
            more = _text(metadata, "continue", 4096)
            if not more:
                return
            query["continue"] = more
        raise Invalid(f"more than {_MAX_PAGES} pages of {self._kind.registration.plural}")

    def watch(self, version: str, seconds: float) -> Iterator[Event]:
        """The changes since that version, for this time. Raises ExternalError."""
        wait = str(max(1, round(seconds)))
        query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": wait, "allowWatchBookmarks": "true"}
        with self._get(query, _TIMEOUT_SECONDS + seconds) as response:
            for line in _lines(response, time.monotonic() + seconds + _TIMEOUT_SECONDS):
                yield _event(line)

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()

    @contextmanager
    def _get(self, query: Mapping[str, str], timeout_seconds: float) -> Iterator[http.client.HTTPResponse]:
        """A successful response. Its connection is used again only if all of it was read."""
        finished = False
        try:
            response = self._connection.get(f"{self._credential.path}{self._path}?{urlencode(query)}", timeout_seconds)
            if response.status != http.HTTPStatus.OK:
                raise _error_of_status(response.status, self._kind)
            with response:
                yield response
                finished = response.isclosed()
        except http.client.HTTPException as error:  # its text would quote the peer's bytes
            raise Unavailable(f"not an HTTP server: {type(error).__name__}") from error
        except (OSError, UnicodeError) as error:  # the last: an invalid host name
            raise Unavailable(f"{type(error).__name__}: {error}"[:256] + self._hint(error)) from error
        finally:
            if not finished:
                self._connection.close()

    def _hint(self, error: Exception) -> str:
        is_public = self._credential.authority is None and isinstance(error, ssl.SSLCertVerificationError)
        return " (the kubeconfig has no certificate-authority-data: only public authorities are trusted)" * is_public


class _Connection(http.client.HTTPSConnection):
    """Verifies the server's certificate against the name that the kubeconfig gives it."""

    def __init__(self, credential: PeerCredential, context: ssl.SSLContext) -> None:
        super().__init__(credential.host, credential.port, timeout=_TIMEOUT_SECONDS, context=context)
        self._tls, self._server_name = context, credential.server_name or credential.host
        self._headers = {"Accept": "application/json"}
        if credential.token:
            self._headers["Authorization"] = f"Bearer {credential.token}"

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)

    def get(self, path: str, timeout_seconds: float) -> http.client.HTTPResponse:
        """The response to a request. A server may have closed a connection that it kept open until now."""
        is_reused = self.sock is not None
        try:
            return self._get_once(path, timeout_seconds)
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            if not is_reused:
                raise
            self.close()
            return self._get_once(path, timeout_seconds)

    def _get_once(self, path: str, timeout_seconds: float) -> http.client.HTTPResponse:
        if self.sock is None:
            self.timeout = _TIMEOUT_SECONDS
            self.connect()
        self.sock.settimeout(timeout_seconds)
        self.request("GET", path, headers=self._headers)
        return self.getresponse()


def _body(response: http.client.HTTPResponse) -> bytes:
    """The complete body. Raises Invalid beyond the size limit, Unavailable beyond the time limit."""
    deadline, size, parts = time.monotonic() + _READ_SECONDS, 0, list[bytes]()
    while part := response.read1(_CHUNK_BYTES):
        size += len(part)
        if size > _MAX_PAGE_BYTES:
            raise Invalid(f"the answer is larger than {_MAX_PAGE_BYTES} bytes")
        if time.monotonic() > deadline:
            raise Unavailable(f"the answer took longer than {_READ_SECONDS:g} s")
        parts.append(part)
    response.close()  # read1 does not close it at its end, which would block the connection's next request
    return b"".join(parts)


def _lines(response: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
    rest = b""
    while part := response.read1(_CHUNK_BYTES):
        *lines, rest = (rest + part).split(b"\n")
        yield from lines
        if len(rest) > _MAX_EVENT_BYTES:
            raise Invalid(f"an event of the watch is larger than {_MAX_EVENT_BYTES} bytes")
        if time.monotonic() > deadline:
            raise Unavailable("the watch does not end when it was asked to")
    if rest:
        yield rest
    response.close()


def _event(line: bytes) -> Event:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return Event("", {})
    if not isinstance(found, dict) or not isinstance(found.get("object"), dict):
        return Event("", {})
    return Event(str(found.get("type"))[:64], found["object"])


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


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Invalid("the answer is not JSON") from None
    if not isinstance(document, dict):
        raise Invalid("the answer is not an object")
    return document


def _items(page: Document) -> list[Document]:
    items = page.get("items")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise Invalid("the answer is not a list of objects")
    return items


def _text(metadata: object, field: str, limit: int) -> str:
    found = metadata.get(field) if isinstance(metadata, dict) else None
    return str(found)[:limit] if found else ""
