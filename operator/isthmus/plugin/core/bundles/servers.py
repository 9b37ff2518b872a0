"""The URL at which a peer is to reach an API server."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult

from isthmus.model.kubeconfig import plain_url

_MAX_CHARACTERS: Final = 512


class BadServer(ValueError):
    """Why a URL cannot be used, as the rest of a sentence that begins with what it is."""


def checked(text: str) -> SplitResult:
    """The URL of an API server that another cloud may be able to reach. Raises BadServer."""
    url = _parsed(text)
    host = (url.hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        raise BadServer("is a loopback address: give the one at which the peer reaches your API server")
    check_address(host)
    return url


def check_address(host: str) -> None:
    """Raise BadServer for an address, not for a name, that means something else or nothing elsewhere."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_loopback:
        raise BadServer("is a loopback address: give the one at which the peer reaches your API server")
    if mapped.is_unspecified or mapped.is_link_local or mapped.is_multicast:
        raise BadServer("is no address at which a peer could reach your API server")


def _parsed(text: str) -> SplitResult:
    url = plain_url(text)
    if url is None or len(text) > _MAX_CHARACTERS or not text.isascii():
        raise BadServer("is not a plain URL such as https://192.0.2.10:6443")
    return url
