"""One switch: what leaves it for a frame that enters it, and what it learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from isthmus.model.node.flows import FlowSet

from .actions import Action, Goto, InPort, Learn, Meter, Move, Output, PopMpls, PushMpls, Resubmit, SetField
from .fields import BESIDE_FRAME, Bits
from .flowtable import Flow, FlowTable, parse_flow
from .matches import Match, Term
from .packet import Packet

_DEPTH = 64  # of lookups within lookups; Open vSwitch gives up there, too
_TUNNEL = ("tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst")


class Sent(NamedTuple):
    """A frame that leaves by a port; what says where to if it is a port of tunnels, else 0."""

    port: int
    frame: bytes
    tun_id: int = 0
    tun_src: int = 0
    tun_dst: int = 0
    tun_ipv6_src: int = 0
    tun_ipv6_dst: int = 0


class TooDeep(Exception):
    """Tables lead into each other without end."""


class Switch:
    """Flows, and those that they have learned. No time passes: nothing expires, and meters let everything pass.

    But for those meters that are named as `closed`, which drop everything.
    """

    def __init__(self, flows: Iterable[tuple[int, str]], closed: Iterable[int] = ()) -> None:
        """`flows` are cookies with flows as `model.node.flows.Flows` has them."""
        self._flows = FlowTable((cookie, parse_flow(text)) for cookie, text in flows)
        self._closed = frozenset(closed)

    def receive(self, frame: bytes, in_port: int, tun_id: int = 0) -> list[Sent]:
        """What leaves, in order, for a frame that enters by a port, with a tunnel ID if it is one of tunnels."""
        packet = Packet(frame, {"in_port": in_port, "tun_id": tun_id})
        run = _Run(self._flows, self._closed, packet)
        run.table(0, 0)
        for learned in run.learned:
            self._flows.add(*learned)
        return run.sent

    def write(self, flows: Iterable[tuple[int, str]]) -> None:
        """Add flows, each in the place of the one of the same match. What was learned stays."""
        for cookie, text in flows:
            self._flows.add(cookie, parse_flow(text))

    def flows(self, table: int) -> frozenset[tuple[int, Flow]]:
        """All flows of a table, with their cookies."""
        return self._flows.flows(table)


def of_sets(sets: Mapping[int, FlowSet]) -> Iterable[tuple[int, str]]:
    """The flows of rendered sets, each with its cookie."""
    return ((cookie, flow) for cookie, found in sets.items() for flow in sorted(found.flows))


class _Run:
    """One frame on its way through the tables. It does not see the flows that it teaches: they are added after it."""

    def __init__(self, flows: FlowTable, closed: frozenset[int], packet: Packet) -> None:
        self._flows, self._closed, self._packet = flows, closed, packet
        self._dropped = False
        self.sent: list[Sent] = []
        self.learned: list[tuple[int, Flow, int]] = []

    def table(self, number: int, depth: int) -> None:
        if depth > _DEPTH:
            raise TooDeep(f"table {number}")
        found = self._flows.look_up(number, self._packet)
        for action in found.actions if found else ():
            if self._dropped:
                return
            self._do(action, depth)

    def _do(self, action: Action, depth: int) -> None:
        packet = self._packet
        match action:
            case SetField(bits, value):
                packet.set_bits(bits, value)
            case Move(source, destination):
                packet.set_bits(destination, packet.get_bits(source))
            case Resubmit(table) | Goto(table):
                self.table(table, depth + 1)
            case Meter(number):
                self._dropped = number in self._closed
            case Output(port):
                if port != packet.beside["in_port"]:
                    self._send(port)
            case InPort():
                self._send(packet.beside["in_port"])
            case PushMpls(type_):
                packet.push_mpls(type_)
            case PopMpls(type_):
                packet.pop_mpls(type_)
            case Learn():
                self._learn(action)

    def _send(self, port: int) -> None:
        tunnel = {name: self._packet.get(BESIDE_FRAME[name]) for name in _TUNNEL}
        self.sent.append(Sent(port, self._packet.frame, **tunnel))

    def _learn(self, learn: Learn) -> None:
        match: Match = frozenset(self._term(of, source) for of, source in learn.matches)
        actions = tuple(SetField(of, self._number(source)) for of, source in learn.loads)
        self.learned.append((learn.cookie, Flow(learn.table, learn.priority, match, actions), learn.limit))

    def _term(self, of: Bits, source: Bits | int) -> Term:
        return Term(of.field, self._number(source) << of.first & of.mask, of.mask)

    def _number(self, source: Bits | int) -> int:
        return source if isinstance(source, int) else self._packet.get_bits(source)
