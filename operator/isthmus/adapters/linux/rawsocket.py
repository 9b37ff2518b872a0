"""Raw sockets, for which a process needs the capability CAP_NET_RAW."""

from __future__ import annotations

import socket

from isthmus.model.errors import MissingCapability


def raw_socket(family: socket.AddressFamily, protocol: int, to_send: str) -> socket.socket:
    """Open one. Raises OSError, or MissingCapability, which says what the agent may not send."""
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol)
    except PermissionError as error:
        text = f"the agent may not send {to_send}: its process lacks the capability CAP_NET_RAW"
        raise MissingCapability(text) from error
