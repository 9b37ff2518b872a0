"""One OpenStack service as plain JSON, with complete lists and the errors of `model.errors`.

openstacksdk provides configuration, authentication, the catalogue and connections. Its resource classes are not used:
explicit requests are easier to test against two releases of a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from isthmus.model import errors

from .session import Session
from .translation import by_status, translated

_PAGE: Final = 1000

Document = dict[str, Any]


class Api:
    """Requests to one service. All methods raise ExternalError subclasses only; `path` is relative to its endpoint."""

    def __init__(self, session: Session, service: str) -> None:
        """`service` is the SDK's proxy name: `network`, `identity`."""
        self._session = session
        self._service = service

    def get(self, path: str, **query: str) -> Document:
        """The JSON of one object or of one page of a list."""
        return self._request("GET", path, query)

    def find(self, path: str) -> Document | None:
        """One object; None if it does not exist (404)."""
        try:
            return self.get(path)
        except errors.NotFound:
            return None

    def list(self, collection: str, **query: str) -> list[Document]:
        """All objects of a collection that match the query, of all pages. Unavailable if the server truncated it."""
        key = collection.replace("-", "_")
        found: list[Document] = []
        page = query
        while True:
            document = self.get(f"/{collection}", **page)
            found += document[key]
            if document.get("truncated"):
                raise errors.Unavailable(f"{self._service}: the list of {collection} was truncated by the server")
            links = document.get(f"{key}_links") or []
            if not any(link.get("rel") == "next" for link in links) or not document[key]:
                return found
            page = query | {"limit": str(_PAGE), "marker": document[key][-1]["id"]}

    def post(self, path: str, body: Document) -> Document:
        """Create an object; returns it as stored."""
        return self._request("POST", path, {}, body)

    def put(self, path: str, body: Document | None = None) -> Document:
        """Replace an object; in Neutron: change the given fields."""
        return self._request("PUT", path, {}, body)

    def patch(self, path: str, body: Document) -> Document:
        """Change the given fields."""
        return self._request("PATCH", path, {}, body)

    def delete(self, path: str) -> None:
        """Delete an object; no error if it does not exist."""
        try:
            self._request("DELETE", path, {})
        except errors.NotFound:
            return

    def _request(self, method: str, path: str, query: Mapping[str, str], body: Document | None = None) -> Document:
        adapter = self._session.adapter(self._service)
        with translated(self._service):
            response = adapter.request(path, method, params=dict(query), json=body, raise_exc=False)
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
