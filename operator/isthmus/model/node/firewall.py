"""Our nftables tables, wanted and installed, in one canonical form so that the two can be compared."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .flows import Traffic

TABLE_FAMILY = "inet"
"""Of the table with the second fence."""
DEVICE_FAMILY = "netdev"
"""Of the table with what is done on our tunnel devices."""


@dataclass(frozen=True)
class Chain:
    """A base chain of type filter with policy accept (nft(8), CHAINS)."""

    name: str
    hook: str
    priority: int
    device: str = field(default="", compare=False)
    """In family netdev, whose packets it sees: not every nft lists it, and a chain remains when its device goes.

    The name of a chain must therefore tell one device from another.
    """


@dataclass(frozen=True)
class NamedSet:
    """A set of single values; `type` is nft's, such as inet_service or ipv4_addr."""

    name: str
    type: str
    elements: frozenset[int | str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """A rule of a chain; `statements` is its `expr` of libnftables-json(5) as `canonical_json` writes it."""

    chain: str
    statements: str


@dataclass(frozen=True)
class Ruleset:
    """Everything in one table; an empty one means that there is no table.

    The order of rules is not part of it: each of them drops, or lowers what another may have lowered.
    """

    chains: frozenset[Chain] = frozenset()
    counters: frozenset[str] = frozenset()
    sets: frozenset[NamedSet] = frozenset()
    rules: frozenset[Rule] = frozenset()
    unexpected: frozenset[str] = frozenset()
    """What an installed table has besides, such as flags or chains of another kind, as canonical JSON."""


@dataclass(frozen=True)
class FirewallView:
    """What nftables has in one of our tables."""

    ruleset: Ruleset = field(default_factory=Ruleset)
    dropped: Mapping[str, Traffic] = field(default_factory=dict)
    """By counter, since the table was last replaced."""


def canonical_json(value: Any) -> str:
    """One text for each value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
