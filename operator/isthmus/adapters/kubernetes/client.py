"""Requests to our own API server with the official client's `ApiClient`; its models and discovery are not used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final

from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import ReadTimeoutError

from isthmus.model.errors import Unavailable
from isthmus.ports import Manifest

from . import wire
from .access import Access, load, require
from .errors import Expired, SilentStream, translated

APPLY: Final = "application/apply-patch+yaml"
MERGE: Final = "application/merge-patch+json"
_LIST_ATTEMPTS: Final = 3
_CHUNK_BYTES: Final = 65_536
_LOGIN_FAILED: Final = (0, 401)  # the client reports a failed TLS handshake as status 0


@dataclass(frozen=True)
class _Session:
    access: Access
    client: ApiClient


class Client:
    """Requests as one field manager. Loads the kubeconfig (and runs its exec plugin) at the first request.

    Safe to use from several threads. A token file is read for each request. After a 401 or a failed TLS handshake
    the next request loads the kubeconfig again. Methods raise `ExternalError` subclasses only.
    """

    def __init__(self, kubeconfig: str | None, field_manager: str, timeout_seconds: float, page_size: int) -> None:
        """Raises Invalid if the kubeconfig does not exist."""
        require(kubeconfig)
        self.field_manager = field_manager
        self._kubeconfig = kubeconfig
        self._timeout_seconds = timeout_seconds
        self._page_size = page_size
        self._lock = Lock()
        self._session: _Session | None = None

    def get(self, path: str) -> Manifest:
        """One object."""
        return self._request("GET", path)

    def list_items(self, path: str) -> list[Manifest]:
        """All objects, page by page. Starts again if the list expires (410) in between."""
        for _ in range(_LIST_ATTEMPTS):
            with suppress(Expired):
                return self._pages(path)
        raise Unavailable(f"the list {path} expired {_LIST_ATTEMPTS} times while it was read")

    def apply(self, path: str, manifest: Manifest) -> Manifest:
        """Server-side apply, forced. Returns the object as it is stored."""
        query = {"fieldManager": self.field_manager, "force": "true"}
        return self._request("PATCH", path, query, wire.apply_patch(manifest), APPLY)

    def create(self, path: str, manifest: Manifest) -> Manifest:
        """Create an object; `path` is that of all objects of its kind. Conflict if there is one of that name."""
        return self._request("POST", path, {"fieldManager": self.field_manager}, manifest)

    def merge(self, path: str, patch: Manifest) -> Manifest:
        """JSON merge patch (RFC 7386)."""
        return self._request("PATCH", path, {"fieldManager": self.field_manager}, patch, MERGE)

    def delete(self, path: str, uid: str | None = None) -> None:
        """Delete with the server's defaults; with a UID, only the object that has it."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        self._request("DELETE", path, body=options if uid else None)

    def pages(self, path: str) -> Iterator[Manifest]:
        """A list page by page; all of them are of the first one's version. Raises Expired (410) if that is gone."""
        query = {"limit": str(self._page_size)}
        while True:
            page = self._request("GET", path, query)
            found, metadata = page.get("items"), page.get("metadata")
            if not isinstance(found, list) or not isinstance(metadata, dict):
                raise Unavailable("the API server did not return a list")
            yield page
            if not metadata.get("continue"):
                return
            query["continue"] = metadata["continue"]

    def stream(self, path: str, query: Mapping[str, str], silence_seconds: float) -> Iterator[Manifest]:
        """The JSON objects that the server sends one a line, until it ends the response.

        Raises SilentStream if nothing has arrived for that long, Expired (410), and other `ExternalError` subclasses.
        """
        session = self._logged_in()
        prepared = session.client.param_serialize(
            "GET", path, query_params=query, header_params=_headers(session.access)
        )
        timeouts = (self._timeout_seconds, silence_seconds)
        with translated(self._timeout_seconds):
            response = session.client.call_api(*prepared, _request_timeout=timeouts)
            try:
                if not 200 <= response.status <= 299:
                    if response.status in _LOGIN_FAILED:
                        self._forget(session)
                    raise ApiException(response.status, response.reason, body=response.read().decode(errors="replace"))
                yield from map(_object, _lines(response.response))
            except ReadTimeoutError as error:
                raise SilentStream(f"nothing was received for {silence_seconds:g} s") from error
            finally:
                response.response.close()

    def _pages(self, path: str) -> list[Manifest]:
        return [item for page in self.pages(path) for item in page["items"]]

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Manifest | bytes | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        session = self._logged_in()
        headers = _headers(session.access) | {"Content-Type": content_type}
        with translated(self._timeout_seconds):
            try:
                return self._exchange(session.client, method, path, query, headers, body)
            except ApiException as error:
                if error.status in _LOGIN_FAILED:
                    self._forget(session)
                raise

    def _exchange(
        self,
        client: ApiClient,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: dict[str, str],
        body: Manifest | bytes | None,
    ) -> Manifest:
        prepared = client.param_serialize(method, path, query_params=query, header_params=headers, body=body)
        # Requests have no time-out by default.
        response = client.call_api(*prepared, _request_timeout=self._timeout_seconds)
        content = response.read()
        if not 200 <= response.status <= 299:
            raise ApiException(response.status, response.reason, body=content.decode(errors="replace"))
        return _object(content)

    def _logged_in(self) -> _Session:
        with self._lock:
            if self._session is None:
                access = load(self._kubeconfig)
                client = ApiClient(access.configuration)
                client.user_agent = self.field_manager
                client.rest_client.pool_manager.connection_pool_kw["ssl_context"] = access.tls
                self._session = _Session(access, client)
            return self._session

    def _forget(self, session: _Session) -> None:
        with self._lock:
            if self._session is session:
                self._session = None


def _headers(access: Access) -> dict[str, str]:
    authorization = access.authorization()
    return {"Accept": "application/json", **({"Authorization": authorization} if authorization else {})}


def _lines(response: BaseHTTPResponse) -> Iterator[bytes]:
    """The lines of a body as they arrive."""
    rest = b""
    for chunk in response.stream(_CHUNK_BYTES):
        *complete, rest = (rest + chunk).split(b"\n")
        yield from filter(None, complete)
    if rest:
        yield rest


def _object(content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Unavailable("the API server did not return a JSON object")
    return document
