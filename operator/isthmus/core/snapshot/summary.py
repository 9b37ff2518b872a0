"""Summaries for printer columns, which can neither count nor show more than the first element of a list."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway


def ratio(states: Iterable[bool]) -> str:
    """How many are true, of all: `2/3`."""
    found = tuple(states)
    return f"{sum(found)}/{len(found)}"


def addresses(gateways: Iterable[PeerGateway]) -> str:
    """The gateways' addresses in one line."""
    return ",".join(address for gateway in gateways for address in gateway.addresses)
