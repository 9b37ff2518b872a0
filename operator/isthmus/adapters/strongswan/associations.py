"""IKE SAs in charon's answers to `list-sas` (VICI): what they carry, and which of them are to end."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Message = Mapping[str, Any]

_CHILD_NAME = re.compile(r"(?P<child>[a-z]+)-(?P<digest>[0-9a-f]{12})")
_CARRIES_TRAFFIC = frozenset({"INSTALLED", "REKEYING", "REKEYED"})
BOTH_ENDS: Final = ("spi-in", "spi-out")
_MAX_QUEUED_TASKS = 4
# Until the peer's gateway, which may be behind by a message, does not use the older SAs any more.
_SETTLED_SECONDS = 5
# A peer that negotiates all children by itself has done so by then.
_WAITING_SECONDS = 1


def installed_children(sas: Iterable[Message]) -> frozenset[str]:
    """Names of children that carry traffic, in the answer to `list-sas`."""
    return frozenset(match[0] for _, sa in named(sas) for match in carrying(sa))


def stuck_associations(sas: Iterable[Message], loaded: frozenset[str]) -> list[str]:
    """IDs of IKE SAs, in the answer to `list-sas`, that lack loaded children and have no task to negotiate them."""
    stuck = []
    for _, sa in named(sas):
        waiting = sa["state"] == b"ESTABLISHED" and not any(sa.get(t) for t in ("tasks-active", "tasks-queued"))
        if waiting and {match[0] for match in carrying(sa)} < loaded:
            stuck.append(association_id(sa))
    return stuck


def overloaded(sas: Iterable[Message]) -> bool:
    """Whether, in the answer to `list-sas`, more tasks are queued for the peer than one attempt needs."""
    return any(len(sa.get("tasks-queued", ())) > _MAX_QUEUED_TASKS for _, sa in named(sas))


def superseded_associations(sas: Iterable[Message], loaded: frozenset[str]) -> list[str]:
    """IDs of one connection's IKE SAs, in the answer to `list-sas`, in whose place there is a complete one.

    They have other children than the loaded ones; or they are older than an IKE SA that has had all loaded ones for a
    few seconds: after the end of a charon its successor, or the peer's, negotiates beside the SAs of old.
    """
    found = [sa for _, sa in named(sas)]
    former = [association_id(sa) for sa in found if any(match[0] not in loaded for match in carrying(sa))]
    return list(dict.fromkeys([*former, *map(association_id, duplicates(found, loaded))]))


def duplicates(sas: Iterable[Message], loaded: frozenset[str]) -> list[Message]:
    """Of one connection's IKE SAs, those older than one that has had all loaded children for a few seconds."""
    ages = [(_age(sa), sa) for sa in sas if sa["state"] == b"ESTABLISHED"]
    settled = [
        age for age, sa in ages if age[0] >= _SETTLED_SECONDS and loaded and loaded <= {m[0] for m in carrying(sa)}
    ]
    return [sa for age, sa in ages if settled and age > min(settled)]


def settled_children(sas: Iterable[Message]) -> frozenset[str]:
    """Names of children, of one connection's IKE SAs, that have carried traffic for a few seconds."""
    return frozenset(match[0] for sa in sas for match in carrying(sa, _SETTLED_SECONDS))


def preceding(sas: Iterable[Message], sent: str) -> list[Message]:
    """Of one connection's IKE SAs, those with the child `sent`, if a newer one of the peer's waits for that child.

    `sent` names the child of what this node sends. A charon that takes over negotiates what its own node sends, and
    leaves the rest to the peer: whoever opens a child has the other side's SA in place before sending.
    """
    ages = [(_age(sa), sa) for sa in sas if sa["state"] == b"ESTABLISHED"]
    having = [(age, sa) for age, sa in ages if sent in {match[0] for match in carrying(sa)}]
    opened = [
        age for age, sa in ages if age[0] >= _WAITING_SECONDS and sa.get("initiator") != b"yes" and any(carrying(sa))
    ]
    newest = min(opened, default=None)
    if newest is None or any(age <= newest for age, _ in having):
        return []
    return [sa for _, sa in having]


def _age(sa: Message) -> tuple[int, str]:
    """Seconds since an IKE SA was established; of two that are as old both gateways prefer the same, by its SPI."""
    return int(sa["established"]), sa["initiator-spi"].decode()


def children_with(sas: Iterable[Message], spis: frozenset[int]) -> list[str]:
    """IDs of the children, in the answer to `list-sas`, that have one of these SPIs and are not being rekeyed."""
    return [
        str(child["uniqueid"].decode())
        for _, sa in named(sas)
        for child in sa["child-sas"].values()
        if child["state"] == b"INSTALLED" and spis.intersection(spis_of(child))
    ]


def carrying(sa: Message, seconds: int = 0) -> Iterator[re.Match[str]]:
    """Names of an IKE SA's children that are installed in the kernel, and have been for so many seconds."""
    return child_names(
        child["name"].decode()
        for child in sa["child-sas"].values()
        if child["state"].decode() in _CARRIES_TRAFFIC and _seconds(child) >= seconds
    )


def _seconds(child: Message) -> int:
    return int(child.get("install-time", 0))


def child_names(names: Iterable[str]) -> Iterator[re.Match[str]]:
    """Child and digest of those names that are ours."""
    return (match for name in names if (match := _CHILD_NAME.fullmatch(name)))


def association_id(sa: Message) -> str:
    """charon's number of an IKE SA."""
    return str(sa["uniqueid"].decode())


def named(answers: Iterable[Message]) -> Iterator[tuple[str, Message]]:
    """Name and content of the entries of a streamed answer."""
    return (item for answer in answers for item in answer.items())


def spis_of(child: Message, ends: Iterable[str] = BOTH_ENDS) -> Iterator[int]:
    """SPIs of a child's SAs that exist."""
    return (int(child[end], 16) for end in ends if end in child)
