"""Checks of addresses that a pattern cannot express."""

from __future__ import annotations

import ipaddress


def canonical_ipv4_address(text: str) -> str:
    """The address itself; raises ValueError where it is none."""
    return str(ipaddress.IPv4Address(text))


def canonical_ipv4_cidr(text: str) -> str:
    """The network in canonical form; raises ValueError where host bits are set."""
    return str(ipaddress.IPv4Network(text))
