"""Numbers on the command line."""

from __future__ import annotations

from ..refusals import Misused
from .terms import DEFAULT_PORTS, NEUTRON_TUNNEL_PORTS, Tunnel, known_encapsulation


def ranged(option: str, value: str | None, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises Misused."""
    if value is None:
        return default
    if not (value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= most):
        raise Misused(f"{option} must be a whole number from 1 to {most}")
    return int(value)


def tunnel(name: str | None, port: str | None) -> Tunnel:
    """The tunnel of that encapsulation, or VXLAN, with that port, or the encapsulation's default. Raises Misused."""
    encapsulation = known_encapsulation(name or "VXLAN")
    if encapsulation is None:
        raise Misused(f"--encapsulation must be one of {', '.join(DEFAULT_PORTS)}")
    default = DEFAULT_PORTS[encapsulation]
    if default is None and port is not None:
        raise Misused(f"{encapsulation} has no UDP port: leave out --tunnel-port, or choose another --encapsulation")
    if default is None:
        return Tunnel(port=None, encapsulation=encapsulation)
    number = ranged("--tunnel-port", port, default, 65535)
    if number < 1024 or number in NEUTRON_TUNNEL_PORTS:
        raise Misused("--tunnel-port must be from 1024 to 65535, and none of Neutron's own: 4789, 6081, 8472")
    return Tunnel(port=number, encapsulation=encapsulation)
