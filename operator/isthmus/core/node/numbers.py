"""Assigns numbers to networks and members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from isthmus.model.node.numbers import MAX_MEMBER, MAX_NETWORK, Numbers


def number(current: Numbers, patch_ports: Iterable[str], cloud_ids: Iterable[str]) -> Numbers:
    """Numbers for these networks and peers.

    Assigned numbers are kept. A network keeps its number as long as its patch port has it, wanted or not.
    """
    networks, last_network = allocate(
        current.networks, {*patch_ports, *current.networks}, current.last_network, MAX_NETWORK
    )
    members, last_member = allocate(current.members, cloud_ids, current.last_member, MAX_MEMBER)
    return Numbers(networks, members, last_network, last_member)


def allocate(existing: Mapping[str, int], wanted: Iterable[str], last: int, maximum: int) -> tuple[dict[str, int], int]:
    """A number from 1 to `maximum` for each wanted name, and the number that was assigned last.

    New numbers count up from `last`, so that a released number is used again as late as possible: learned flows with
    it may exist for some minutes. Of several names with one number (somebody changed them) the first keeps it.
    """
    names = set(wanted)
    assigned = _kept(existing, names, maximum)
    taken = {*existing.values(), *assigned.values()}
    for name in sorted(names - assigned.keys()):
        last = _next_free(last, maximum, taken)
        assigned[name] = last
        taken.add(last)
    return assigned, last


def _kept(existing: Mapping[str, int], names: set[str], maximum: int) -> dict[str, int]:
    numbers = {*existing.values()}
    if len(numbers) == len(existing) and all(0 < number <= maximum for number in numbers):
        return {name: existing[name] for name in names & existing.keys()}
    first: dict[int, str] = {}
    for name in sorted(names & existing.keys()):
        if 0 < existing[name] <= maximum:
            first.setdefault(existing[name], name)
    return {name: number for number, name in first.items()}


def _next_free(last: int, maximum: int, taken: set[int]) -> int:
    candidate = last % maximum + 1
    while candidate in taken:
        candidate = candidate % maximum + 1
    return candidate
