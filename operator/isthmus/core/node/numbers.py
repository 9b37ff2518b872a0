"""Assigns numbers to networks and members."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace

from isthmus.model.node.flows import PlannedNetwork
from isthmus.model.node.numbers import MAX_MEMBER, MAX_NETWORK, Numbers
from isthmus.model.tracked import Tracked, differing


class Numbering:
    """Numbers networks and peers like `number`; of networks it looks only at those that changed since the last time."""

    def __init__(self) -> None:
        self._networks: Mapping[str, PlannedNetwork] = {}
        self._ofport: Mapping[str, int] = {}
        self._numbered: Mapping[str, int] = {}
        self._unnumbered: set[str] = set()
        """Patch ports of the planned networks that have an OpenFlow port and no number."""
        self._taken: Counter[int] = Counter()
        self._invalid: set[int] = set()
        """Those of `_taken` that are taken twice, or out of range: somebody changed them."""
        self._was_invalid = False
        self._result: Tracked[str, int] = Tracked()
        self.unwritten: Mapping[str, int] = {}
        """The last numbers of networks that are not those they had."""

    def numbers(
        self,
        current: Numbers,
        networks: Mapping[str, PlannedNetwork],
        ofport: Mapping[str, int],
        cloud_ids: Iterable[str],
    ) -> Numbers:
        """Numbers for the networks, given by their patch ports, that have an OpenFlow port, and for the peers."""
        renumbered = differing(self._numbered, current.networks)
        for patch_port in renumbered:
            self._count(self._numbered.get(patch_port), -1)
            self._count(current.networks.get(patch_port), 1)
        for patch_port in {*renumbered, *differing(self._networks, networks), *differing(self._ofport, ofport)}:
            if patch_port in networks and ofport.get(patch_port, 0) > 0 and patch_port not in current.networks:
                self._unnumbered.add(patch_port)
            else:
                self._unnumbered.discard(patch_port)
        self._networks, self._ofport, self._numbered = networks, ofport, current.networks
        if self._invalid or self._was_invalid:
            self._was_invalid = bool(self._invalid)
            found = number(current, self._unnumbered, cloud_ids)
            self._result = self._result.becoming(found.networks)
            self.unwritten = {name: n for name, n in found.networks.items() if current.networks.get(name) != n}
            return replace(found, networks=self._result)
        new, last = _assigned(self._unnumbered, self._taken.keys(), current.last_network, MAX_NETWORK)
        members, last_member = allocate(current.members, cloud_ids, current.last_member, MAX_MEMBER)
        outdated = {*renumbered, *self.unwritten}
        self._result = self._result.updated({name: current.networks.get(name) for name in outdated} | new)
        self.unwritten = new
        return Numbers(self._result, members, last, last_member)

    def _count(self, number: int | None, change: int) -> None:
        if number is None:
            return
        self._taken[number] += change
        if self._taken[number] > 1 or (self._taken[number] and not 0 < number <= MAX_NETWORK):
            self._invalid.add(number)
        else:
            self._invalid.discard(number)
        if not self._taken[number]:
            del self._taken[number]


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
    kept = _kept(existing, names, maximum)
    new, last = _assigned(names - kept.keys(), {*existing.values(), *kept.values()}, last, maximum)
    return kept | new, last


def _assigned(names: AbstractSet[str], taken: AbstractSet[int], last: int, maximum: int) -> tuple[dict[str, int], int]:
    """Free numbers for these names, and the last one. They count up, so none of them is free twice."""
    assigned = {}
    for name in sorted(names):
        last = _next_free(last, maximum, taken)
        assigned[name] = last
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


def _next_free(last: int, maximum: int, taken: AbstractSet[int]) -> int:
    candidate = last % maximum + 1
    while candidate in taken:
        candidate = candidate % maximum + 1
    return candidate
