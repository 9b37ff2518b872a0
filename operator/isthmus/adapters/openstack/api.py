"""One OpenStack service as plain JSON, with complete lists and the errors of `model.errors`.

openstacksdk provides configuration, authentication, the catalogue and connections. Its resource classes are not used:
explicit requests are easier to test against two releases of a service.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from isthmus.model import errors

if TYPE_CHECKING:
    from openstack.connection import Connection

_TIMEOUT_SECONDS: Final = 30
_PAGE: Final = 1000
_REQUEST_ID = re.compile(r" ?\(?Request-ID: req-[-0-9a-f]+\)?")
_MAX_MESSAGE_CHARACTERS: Final = 512

Document = dict[str, Any]


class Session:
    """A connection by an entry of a clouds.yaml file, opened when it is first needed."""

    def __init__(self, clouds_file: str, cloud: str) -> None:
        self._clouds_file = clouds_file
        self._cloud = cloud

    def own_project_id(self) -> str:
        """ID of the project that the credential is scoped to. Raises Invalid if it is not scoped to one."""
        with _translated("identity"):
            project_id = self.connection.session.get_project_id()
        if not project_id:
            raise errors.Invalid(f"clouds file {self._clouds_file}, entry {self._cloud}: not scoped to a project")
        return str(project_id)

    @cached_property
    def connection(self) -> Connection:
        """The SDK's connection; nothing is sent yet. Raises Invalid if the file or the entry is invalid."""
        from openstack.config import OpenStackConfig  # imported late: takes 0.5 s
        from openstack.connection import Connection
        from openstack.exceptions import ConfigException

        try:
            config = OpenStackConfig(
                config_files=[self._clouds_file], secure_files=[], vendor_files=[], load_envvars=False
            )
            return Connection(config=config.get_one(cloud=self._cloud, api_timeout=_TIMEOUT_SECONDS))
        except (
            ConfigException,
            OSError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # the last: an entry that is no mapping
            raise errors.Invalid(f"clouds file {self._clouds_file}, entry {self._cloud}: {error}") from error


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
        with _translated(self._service):
            adapter = getattr(self._session.connection, self._service)
            response = adapter.request(path, method, params=dict(query), json=body, raise_exc=False)
        if response.status_code >= 400:
            raise _by_status(self._service, response.status_code, response.text)
        try:
            document = response.json() if response.content else None
        except ValueError:
            document = ()
        if document is None:  # Neutron's answer to a new tag is `null`
            return {}
        if not isinstance(document, dict):
            raise errors.Unavailable(f"{self._service}: the answer is not JSON")
        return document


@contextmanager
def _translated(service: str) -> Iterator[None]:
    """Translate errors without a response of the service: authentication, discovery, the connection."""
    from keystoneauth1.exceptions import ClientException, Forbidden, Unauthorized
    from openstack.exceptions import SDKException

    try:
        yield
    except (Unauthorized, Forbidden) as error:
        raise errors.Forbidden(_strip_request_id(service, error)) from error
    except (ClientException, SDKException, OSError) as error:
        raise errors.Unavailable(_strip_request_id(service, error)) from error


def _strip_request_id(service: str, error: Exception) -> str:
    """The error's text without its request ID, which would make every retry a new status and so a write."""
    return _REQUEST_ID.sub("", f"{service}: {error}")[:_MAX_MESSAGE_CHARACTERS]


def _by_status(service: str, status: int, text: str) -> errors.ExternalError:
    type_, message = _error_type_and_message(text)
    message = f"{service}: {message or f'status {status}'}"[:_MAX_MESSAGE_CHARACTERS]
    match status:
        case 401 | 403:
            return errors.Forbidden(message)
        case 404:
            return errors.NotFound(message)
        case 409 if type_ == "OverQuota":
            return errors.QuotaExceeded(message)
        case 409 | 412:
            return errors.Conflict(message)
        case 400 | 405 | 415 | 422:
            return errors.Invalid(message)
        case _:
            return errors.Unavailable(message)


def _error_type_and_message(text: str) -> tuple[str, str]:
    """Type and message in the body of Neutron's or Keystone's error; empty if it has none."""
    try:
        document = json.loads(text)
        error = document.get("NeutronError") or document.get("error") or {}
        return str(error.get("type", "")), str(error.get("message", ""))
    except (ValueError, AttributeError):
        return "", ""
