"""Numbers on the command line."""

from __future__ import annotations

from ..refusals import Misused
from .terms import NEUTRON_TUNNEL_PORTS, Tunnel


def ranged(option: str, value: str | None, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises Misused."""
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most):
        raise Misused(f"{option} must be a whole number from 1 to {most}")
    return int(value)


def tunnel(port: str | None) -> Tunnel:
    """The tunnel with that port, or with the one of the schema. Raises Misused."""
    number = ranged("--tunnel-port", port, Tunnel().port, 65535)
    if number < 1024 or number in NEUTRON_TUNNEL_PORTS:
        raise Misused("--tunnel-port must be from 1024 to 65535, and none of Neutron's own: 4789, 6081, 8472")
    return Tunnel(port=number)
