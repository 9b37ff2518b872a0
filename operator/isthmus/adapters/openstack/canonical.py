"""Addresses in canonical form. Neutron keeps what a tenant wrote: `10.99.0.0/255.255.0.0` is a valid destination."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import TypeVar

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAX_SHOWN = 128

V = TypeVar("V")


def address(text: object) -> str | None:
    """An IPv4 or IPv6 address without a zone; None if it is none."""
    try:
        return str(ip_address(text)) if isinstance(text, str) and "%" not in text else None
    except ValueError:
        return None


def cidr(text: object) -> str | None:
    """A network without host bits and with its prefix length; None if it is none."""
    try:
        return str(ip_network(text, strict=False)) if isinstance(text, str) and "%" not in text else None
    except ValueError:
        return None


def mac_address(text: object) -> str | None:
    """A MAC address of six octets in lower case with colons; None if it is none."""
    lower = text.lower() if isinstance(text, str) else ""
    return lower if _MAC.fullmatch(lower) else None


def canonical(values: Iterable[object], convert: Callable[..., V | None]) -> tuple[tuple[V, ...], tuple[str, ...]]:
    """The converted values without duplicates, and as text those that cannot be converted: none must end a plan."""
    found: list[V] = []
    odd: list[str] = []
    for value in values:
        try:
            converted = convert(value)
        except (LookupError, TypeError, AttributeError):
            converted = None
        if converted is None:
            odd.append(_shown(value))
        else:
            found.append(converted)
    return tuple(dict.fromkeys(found)), tuple(odd)


def _shown(value: object) -> str:
    text = " ".join(str(v) for v in value.values()) if isinstance(value, dict) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)[:_MAX_SHOWN]
