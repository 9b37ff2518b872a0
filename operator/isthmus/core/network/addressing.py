"""Arithmetic on sets of addresses.

A span is a pair of integers, both ends included; a set of addresses is a tuple of sorted spans that neither overlap nor
touch. Integers below 2^32 are IPv4 addresses and all others IPv6: none of IPv6 in ::/96 is ever in a subnet.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Protocol

from isthmus.model.facts.openstack import Range

Span = tuple[int, int]
Spans = tuple[Span, ...]

_SENSIBLE_SLICE: Final = 8


class Bounded(Protocol):
    """Anything with a first and a last address."""

    @property
    def first(self) -> str: ...
    @property
    def last(self) -> str: ...


@lru_cache(maxsize=1 << 16)  # of a network with thousands of ports they are needed again and again
def number_of(address: str) -> int:
    """An address as an integer."""
    return int(ip_address(address))


def address_of(value: int) -> str:
    """The address of an integer."""
    return str(ip_address(value))


def span_of_network(network: IPv4Network | IPv6Network) -> Span:
    """All addresses of a network as a span."""
    return int(network.network_address), int(network.broadcast_address)


def span_of(bounded: Bounded) -> Span:
    """The range as a span."""
    return number_of(bounded.first), number_of(bounded.last)


def spans_of(ranges: Iterable[Bounded]) -> Spans:
    """The set of addresses in these ranges."""
    return merged(span_of(r) for r in ranges)


def spans_of_addresses(addresses: Iterable[str]) -> Spans:
    """The set of these addresses."""
    return merged((number, number) for number in map(number_of, addresses))


def merged(spans: Iterable[Span]) -> Spans:
    """The same addresses as sorted spans that neither overlap nor touch."""
    result: list[Span] = []
    for first, last in sorted(s for s in spans if s[0] <= s[1]):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return tuple(result)


def subtract(spans: Spans, removed: Spans) -> Spans:
    """The addresses of `spans` that are not in `removed`."""
    result: list[Span] = []
    for first, last in spans:
        start = first
        for removed_first, removed_last in removed:
            if removed_last < start or removed_first > last:
                continue
            result.append((start, removed_first - 1))
            start = removed_last + 1
        result.append((start, last))
    return merged(result)


def intersect(one: Spans, other: Spans) -> Spans:
    """The addresses in both."""
    return subtract(one, subtract(one, other))


def size(spans: Spans) -> int:
    """The number of addresses in the set."""
    return sum(last - first + 1 for first, last in spans)


def contains(spans: Spans, address: str) -> bool:
    """Whether the address is in the set."""
    return contains_number(spans, number_of(address))


def contains_number(spans: Spans, value: int) -> bool:
    """Whether the address of that number is in the set."""
    return any(first <= value <= last for first, last in spans)


def ranges(spans: Spans) -> tuple[Range, ...]:
    """The set as Neutron's allocation pools, one for each span."""
    return tuple(Range(address_of(first), address_of(last)) for first, last in spans)


def largest_span(spans: Spans) -> Span | None:
    """The longest span, the highest of equally long ones; None if the set is empty."""
    return max(spans, key=lambda s: (s[1] - s[0], s[0]), default=None)


def highest_free_run(pools: Spans, used: Spans, wanted: int) -> Span | None:
    """The highest run of `wanted` addresses in `pools` without `used`; None if there is none.

    The highest one, since Neutron allocates from the lowest address up.
    """
    fitting = [s for s in subtract(pools, used) if s[1] - s[0] + 1 >= wanted]
    return (fitting[-1][1] - wanted + 1, fitting[-1][1]) if fitting else None


def default_slice_size(free: Spans, smallest: int) -> int:
    """The default number of addresses in a slice, if `free` are those that nobody uses and no peer has.

    A quarter of them, so that each further peer takes less and many have room. Not less than 8, which a few machines
    need, while so many are in a row and as many are left; and never less than `smallest`.
    """
    longest = largest_span(free)
    has_room = longest is not None and size((longest,)) >= _SENSIBLE_SLICE and size(free) >= 2 * _SENSIBLE_SLICE
    return max(smallest, size(free) // 4, _SENSIBLE_SLICE if has_room else 0)
