"""Flows by table and priority."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from .actions import Action, parse_actions
from .fields import Unknown
from .matches import Match, applies, parse_match
from .packet import Packet

_FLOW = re.compile(r"table=(\d+),priority=(\d+)(?:,(\S+))? actions=(\S+)")


@dataclass(frozen=True)
class Flow:
    """One flow, without its cookie."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]


class Ambiguous(Exception):
    """Several flows of one priority match and differ in what they do: OpenFlow leaves open which one counts."""


@lru_cache(maxsize=65_536)
def parse_flow(text: str) -> Flow:
    """A flow as `model.node.flows.Flows` has it."""
    found = _FLOW.fullmatch(text)
    if found is None:
        raise Unknown(f"flow {text}")
    return Flow(int(found[1]), int(found[2]), parse_match(found[3] or ""), parse_actions(found[4]))


class FlowTable:
    """Flows that differ in table, priority or match; each with a cookie."""

    def __init__(self, flows: Iterable[tuple[int, Flow]] = ()) -> None:
        self._tables: dict[int, dict[tuple[int, Match], tuple[int, Flow]]] = {}
        self._sorted: dict[int, list[Flow]] = {}
        for cookie, flow in flows:
            self.add(cookie, flow)

    def add(self, cookie: int, flow: Flow, limit: int = 0) -> None:
        """Add a flow, or replace the one of the same match; not if that cookie then had more flows than the limit."""
        of_table = self._tables.setdefault(flow.table, {})
        key = flow.priority, flow.match
        with_cookie = sum(found == cookie for found, _ in of_table.values()) if limit else 0
        if not limit or with_cookie < limit or of_table.get(key, (None,))[0] == cookie:
            of_table[key] = cookie, flow
            self._sorted.pop(flow.table, None)

    def look_up(self, table: int, packet: Packet) -> Flow | None:
        """The flow of the highest priority that matches; None if there is none."""
        found: Flow | None = None
        for flow in self._by_priority(table):
            if found is not None and flow.priority < found.priority:
                break
            if not applies(flow.match, packet):
                continue
            if found is not None and flow.actions != found.actions:
                raise Ambiguous(f"{flow} and {found}")
            found = flow
        return found

    def _by_priority(self, table: int) -> list[Flow]:
        if table not in self._sorted:
            flows = (flow for _, flow in self._tables.get(table, {}).values())
            self._sorted[table] = sorted(flows, key=lambda flow: -flow.priority)
        return self._sorted[table]

    def flows(self, table: int) -> frozenset[tuple[int, Flow]]:
        """All flows of a table, with their cookies."""
        return frozenset(self._tables.get(table, {}).values())
