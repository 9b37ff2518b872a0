"""How many requests Keystone and Neutron get from a controller, counted on fakes. Needs no lab."""

from __future__ import annotations

from tests.bench.result import Result, at_most
from tests.fakes.manyfacts import ManyFacts, requests_for_added_expansion, requests_for_created_port

_NETWORKS, _MOST = 1_000, 10_000
# Two rounds, in the second of which known projects are asked for again.
_ROUND_SECONDS, _MEASURED_SECONDS = 300, 600


def measure() -> list[Result]:
    """Requests for one change with 1,000 networks, and each second with 10,000 while nothing changes."""
    added, seen = requests_for_added_expansion(_NETWORKS), requests_for_created_port(_NETWORKS)
    return [
        at_most(f"OpenStack: requests for one added expansion, {_NETWORKS:,} networks", added, "", 15),
        at_most(f"OpenStack: requests for one created port, {_NETWORKS:,} networks, seen within 5 s", seen, "", 5),
        *(_steady_state(origin, role) for origin, role in (("cloud-a", "origin"), ("cloud-b", "receiver"))),
    ]


def _steady_state(origin: str, role: str) -> Result:
    many = ManyFacts(_MOST, origin)
    many.run(_ROUND_SECONDS)
    _, per_second = many.run(_MEASURED_SECONDS)
    return at_most(f"OpenStack: requests a second without changes, {_MOST:,} networks, {role}", per_second, "1/s", 5)
