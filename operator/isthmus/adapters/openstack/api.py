"""One OpenStack service as plain JSON, with complete lists and the errors of `model.errors`.

openstacksdk provides configuration, authentication, the catalogue and connections. Its resource classes are not used:
explicit requests are easier to test against two releases of a service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from isthmus.model import errors

from .breaker import CircuitBreaker
from .session import Session
from .translation import by_status, translated

_PAGE: Final = 1000
_SERVICE_DOWN: Final = frozenset({502, 503, 504})  # of a proxy: the service behind it does not answer
_VALUES: Final = 100  # UUIDs in one URL, of at most 5 kB: servers hold at least 8 kB of a request

Document = dict[str, Any]
Query = str | Sequence[str]


class Api:
    """Requests to one service. All methods raise ExternalError subclasses only; `path` is relative to its endpoint."""

    def __init__(self, session: Session, service: str) -> None:
        """`service` is the SDK's proxy name: `network`, `identity`."""
        self._session = session
        self._service = service
        self._breaker = CircuitBreaker()
        self._links_pages = service == "network"

    def get(self, path: str, **query: Query) -> Document:
        """The JSON of one object or of one page of a list; a sequence is a parameter that is given several times."""
        return self._request("GET", path, query)

    def find(self, path: str) -> Document | None:
        """One object; None if it does not exist (404)."""
        try:
            return self.get(path)
        except errors.NotFound:
            return None

    def list_any(self, collection: str, parameter: str, values: Sequence[str], **query: Query) -> list[Document]:
        """All objects whose `parameter` is one of the values, by as many requests as their length needs."""
        parts = self.parts(values)
        return [found for part in parts for found in self.list(collection, **query, **{parameter: part})]

    @staticmethod
    def parts(values: Sequence[str]) -> list[Sequence[str]]:
        """The values in parts that fit into the URL of one request."""
        return [values[start : start + _VALUES] for start in range(0, len(values), _VALUES)]

    def list(self, collection: str, **query: Query) -> list[Document]:
        """All objects of a collection that match the query, of all pages. Unavailable if the server truncated it.

        Neutron links to the next page. Keystone does so in some releases only, may hold fewer objects in a page than
        were asked for without a word, and knew no pages before 2025.1: its list ends with a page that has nothing new.
        """
        key = collection.replace("-", "_")
        found: dict[str, Document] = {}
        page: dict[str, Query] = dict(query) | {"limit": str(_PAGE)}
        while True:
            document = self.get(f"/{collection}", **page)
            new = {item["id"]: item for item in document[key] if item["id"] not in found}
            found |= new
            links = document.get(f"{key}_links")
            is_last = links is not None and not any(link.get("rel") == "next" for link in links)
            if not new or is_last or (self._links_pages and links is None):
                if document.get("truncated"):
                    raise errors.Unavailable(f"{self._service}: the list of {collection} was truncated by the server")
                return list(found.values())
            page["marker"] = document[key][-1]["id"]

    def post(self, path: str, body: Document) -> Document:
        """Create an object; returns it as stored."""
        return self._request("POST", path, {}, body)

    def put(self, path: str, body: Document | None = None, *, revision: int | None = None) -> Document:
        """Replace an object; in Neutron: change the given fields, if it still has that revision (else Conflict)."""
        headers = {} if revision is None else {"If-Match": f"revision_number={revision}"}
        return self._request("PUT", path, {}, body, headers)

    def patch(self, path: str, body: Document) -> Document:
        """Change the given fields."""
        return self._request("PATCH", path, {}, body)

    def delete(self, path: str) -> None:
        """Delete an object; no error if it does not exist."""
        try:
            self._request("DELETE", path, {})
        except errors.NotFound:
            return

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, Query],
        body: Document | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        with self._breaker.guard():
            adapter = self._session.adapter(self._service)
            with translated(self._service):
                response = adapter.request(
                    path, method, params=dict(query), json=body, headers=dict(headers or {}), raise_exc=False
                )
            if response.status_code in _SERVICE_DOWN:
                raise by_status(self._service, response.status_code, response.text)
        if response.status_code >= 400:
            raise by_status(self._service, response.status_code, response.text)
        try:
            document = response.json() if response.content else None
        except ValueError:
            document = ()
        if document is None:  # Neutron's answer to a new tag is `null`
            return {}
        if not isinstance(document, dict):
            raise errors.Unavailable(f"{self._service}: the answer is not JSON")
        return document
