"""What has to be changed on br-cloud so that it has the sets of flows that it must have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from isthmus.model.node.flows import Flows, FlowSet, Meter, SetChange
from isthmus.model.node.pipeline import (
    LEARNED_OF_NETWORK_MASK,
    LEARNED_OWNER,
    OWNER_MASK,
    is_network_set,
    learned_cookie,
    network_of,
    set_cookie,
)

_LEARNS = re.compile(rf"\bcookie=(0x{LEARNED_OWNER:x}[0-9a-f]{{12}})\b")
_PLAIN = re.compile(r"table=\d+,priority=\d+(?:,[^ ]+)? actions=")
_TABLE = re.compile(r"table=(\d+)")
# Not the digits of a name, of an IP address or of a MAC address.
_NUMBER = re.compile(r"(?<![\w.])(?<!::)(?<![0-9a-f]{2}:)(?:0x[0-9a-f]+|\d+)(?![\w.:])")
_EVERYTHING_LEARNED = (LEARNED_OWNER << 48, OWNER_MASK)


def differences(
    wanted: Mapping[int, FlowSet],
    installed: Mapping[int, Flows],
    meters: Mapping[int, Meter | None] = MappingProxyType({}),
) -> list[SetChange]:
    """What has to be changed, the common flows first. Sets that are installed as wanted are not touched.

    `meters` are the installed ones by ID; None is one of another form than ours.
    """
    compared = (
        _difference(flow_set, installed.get(cookie, frozenset()), meters) for cookie, flow_set in wanted.items()
    )
    changes = [found for found in compared if found is not None]
    changes += (_removal(cookie, installed[cookie]) for cookie in installed.keys() - wanted.keys())
    return sorted(changes, key=lambda c: c.cookie != set_cookie())


def _difference(wanted: FlowSet, listed: Flows, meters: Mapping[int, Meter | None]) -> SetChange | None:
    missing = tuple(meter for meter in wanted.meters if meters.get(meter.id) != meter)
    if same_flows(wanted.flows, listed):
        return SetChange(wanted.cookie, wanted.owner, meters=missing) if missing else None
    return replace(change(wanted, listed), meters=missing)


def same_flows(wanted: Flows, listed: Flows) -> bool:
    """Whether two lists of flows say the same, even if releases of Open vSwitch write numbers or order differently."""
    if wanted is listed or wanted == listed:
        return True
    return len(wanted) == len(listed) and {*map(_normal, wanted)} == {*map(_normal, listed)}


def change(wanted: FlowSet, listed: Flows) -> SetChange:
    """The change of one set: single flows, so that the others keep their counters."""
    gone, new = listed - wanted.flows, wanted.flows - listed
    if not all(_is_plain(flow) for flow in gone):
        return replacement(wanted, listed)
    still_learned = {cookie for flow in wanted.flows for cookie in _LEARNS.findall(flow)}
    learned = {cookie for flow in gone for cookie in _LEARNS.findall(flow)} - still_learned
    return SetChange(
        wanted.cookie,
        wanted.owner,
        delete=tuple(sorted({_match(flow) for flow in gone} - {_match(flow) for flow in new})),
        add=tuple(sorted(new)),
        forget=_forgotten(wanted.cookie, sorted(int(cookie, 16) for cookie in learned)),
    )


def replacement(wanted: FlowSet, listed: Flows) -> SetChange:
    """All flows with the set's cookie are deleted, and those of the set are added."""
    tables = tuple(sorted(_tables(listed)))
    return SetChange(wanted.cookie, wanted.owner, tables, (), tuple(sorted(wanted.flows)), _forgotten(wanted.cookie))


def _removal(cookie: int, listed: Flows) -> SetChange:
    forget = ((learned_cookie(network_of(cookie)), LEARNED_OF_NETWORK_MASK),) if is_network_set(cookie) else ()
    return SetChange(cookie, None, tuple(sorted(_tables(listed))), forget=forget)


def _forgotten(cookie: int, learned: Iterable[int] = ()) -> tuple[tuple[int, int], ...]:
    """Learned flows to delete with a change of a set: all of them if the steps that they are part of change."""
    if cookie == set_cookie():
        return (_EVERYTHING_LEARNED,)
    return tuple((found, 2**64 - 1) for found in learned)


def _tables(flows: Flows) -> set[int]:
    return {int(found[1]) for flow in flows if (found := _TABLE.match(flow))}


def _is_plain(flow: str) -> bool:
    """Whether a flow has no time-outs or flags, so that what is listed before its actions can be used to delete it."""
    return _PLAIN.match(flow) is not None


def _match(flow: str) -> str:
    return flow.split(" actions=", 1)[0]


def _normal(flow: str) -> tuple[tuple[str, ...], str]:
    """A flow with decimal numbers and sorted match fields."""
    text = _NUMBER.sub(lambda number: str(int(number[0], 0)), flow.lower())
    match, _, actions = text.partition(" actions=")
    return tuple(sorted(match.split(","))), actions
