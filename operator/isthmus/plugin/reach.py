"""Tries the URL of our API server as the peer will: with that authority, and with the peer's credential."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from typing import Final

from isthmus.model.names import API_VERSION

from .core.bundles.servers import BadServer, check_address, checked
from .core.refusals import Misused, Refused

_TIMEOUT_SECONDS: Final = 10.0
_RIGHTS_SECONDS: Final = 15.0  # an API server learns of a new RoleBinding from a watch
_RETRY_SECONDS: Final = 0.3


def check_url(server: str) -> None:
    """Raise Misused for a URL that no other cloud could use."""
    try:
        checked(server)
    except BadServer as error:
        raise Misused(f"--server {error}") from None


def certificates(name: str, content: bytes) -> str:
    """The text of a file with certificates in PEM. Raises Misused.

    An empty text would mean the authorities of this machine, which the peer does not know.
    """
    text = content.decode("ascii", "replace")
    if not text.strip():
        raise Misused(f"the certificate authority {name} is empty")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError, TypeError):
        raise Misused("the certificate authority is not in PEM") from None
    return text


def check_server(server: str, authority: str) -> None:
    """Raise Refused unless a server answers there whose certificate the authority has issued for it."""
    _status(server, authority, "/version", "")


def check_credential(server: str, authority: str, token: str, namespace: str) -> None:
    """Raise Refused unless the peer's credential can read its namespace there."""
    path = f"/apis/{API_VERSION}/namespaces/{namespace}/peerlinks?limit=1"
    ends_at = time.monotonic() + _RIGHTS_SECONDS
    while (status := _status(server, authority, path, token)) == 403 and time.monotonic() < ends_at:
        time.sleep(_RETRY_SECONDS)
    if status == 401:
        raise Refused(f"{server} rejects the credential that this cluster has just issued: it is another API server")
    if status != 200:
        raise Refused(f"{server} answers {status} to the peer's credential: it is not this cluster's API server")


def _status(server: str, authority: str, path: str, token: str) -> int:
    url = checked(server)
    try:
        context = ssl.create_default_context(cadata=authority)
    except ssl.SSLError:
        raise Misused("the certificate authority is not in PEM") from None
    connection = http.client.HTTPSConnection(
        url.hostname or "", url.port or 443, timeout=_TIMEOUT_SECONDS, context=context
    )
    try:
        connection.connect()
        _require_remote(server, connection.sock)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", url.path.rstrip("/") + path, headers=headers)
        return connection.getresponse().status
    except ssl.SSLCertVerificationError as error:
        raise Refused(
            f"the certificate of {server} is not accepted: {error.verify_message}; if it is of another authority, "
            "name that by --ca-file"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        raise Refused(f"{server} does not answer from here: {cause}") from None
    finally:
        connection.close()


def _require_remote(server: str, connected: socket.socket) -> None:
    """A name may stand for a loopback address, too."""
    try:
        check_address(connected.getpeername()[0])
    except BadServer as error:
        raise Misused(f"--server {server} {error}") from None
