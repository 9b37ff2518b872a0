"""What a flow does, read from its text (ovs-actions(7))."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .fields import Bits, Unknown, bits, field, mask, value


@dataclass(frozen=True)
class SetField:
    """Some bits of a field get a value; `load` and `set_field` are this."""

    bits: Bits
    value: int


@dataclass(frozen=True)
class Move:
    """Bits of one field get those of another one."""

    source: Bits
    destination: Bits


@dataclass(frozen=True)
class Resubmit:
    """Look the frame up in another table, and come back."""

    table: int


@dataclass(frozen=True)
class Goto:
    """Look the frame up in a later table; the last action."""

    table: int


@dataclass(frozen=True)
class Meter:
    """Drops what is too much."""

    id: int


@dataclass(frozen=True)
class Output:
    """Send by a port; not by the ingress port."""

    port: int


@dataclass(frozen=True)
class InPort:
    """Send by the ingress port."""


@dataclass(frozen=True)
class PushMpls:
    """Add a label."""

    type: int


@dataclass(frozen=True)
class PopMpls:
    """Remove a label."""

    type: int


@dataclass(frozen=True)
class Learn:
    """Add a flow; a source that is a number stands for itself."""

    table: int
    priority: int
    cookie: int
    limit: int
    """How many flows of that cookie there may be; 0: any number."""
    matches: tuple[tuple[Bits, Bits | int], ...]
    loads: tuple[tuple[Bits, Bits | int], ...]


Action = SetField | Move | Resubmit | Goto | Meter | Output | InPort | PushMpls | PopMpls | Learn

_WORD = re.compile(r"[^,()]+(?:\((?:[^()]|\([^()]*\))*\))?")
_RESUBMIT = re.compile(r"resubmit\(,(\d+)\)")
_LEARN = re.compile(r"learn\((.*)\)")
_IGNORED = ("hard_timeout",)
"""Of `learn`: no time passes here."""


def parse_actions(text: str) -> tuple[Action, ...]:
    """The actions in order; of `drop` there are none."""
    if text == "drop":
        return ()
    words = _words(text)
    actions = tuple(map(_action, words))
    if any(isinstance(action, Goto) for action in actions[:-1]):
        raise Unknown(f"something follows on goto_table: {text}")
    return actions


def _words(text: str) -> list[str]:
    words = [found[0] for found in _WORD.finditer(text)]
    if ",".join(words) != text:
        raise Unknown(f"actions {text}")
    return words


def _action(text: str) -> Action:
    name, colon, rest = text.partition(":")
    if text == "IN_PORT":
        return InPort()
    if found := _RESUBMIT.fullmatch(text):
        return Resubmit(int(found[1]))
    if found := _LEARN.fullmatch(text):
        return _learn(found[1])
    match name:
        case "set_field" if colon:
            return _set_field(rest)
        case "load" if colon:
            given, _, of = rest.partition("->")
            return SetField(bits(of), int(given, 0))
        case "move" if colon:
            source, _, destination = rest.partition("->")
            return _move(bits(source), bits(destination))
        case "goto_table":
            return Goto(int(rest))
        case "meter":
            return Meter(int(rest))
        case "output" if rest.isdecimal():
            return Output(int(rest))
        case "push_mpls":
            return PushMpls(int(rest, 0))
        case "pop_mpls":
            return PopMpls(int(rest, 0))
    raise Unknown(f"action {text}")


def _set_field(text: str) -> SetField:
    given, _, name = text.rpartition("->")
    of = field(name)
    wanted, slash, relevant = given.partition("/")
    of_mask = mask(of, relevant) if slash else of.mask
    first = (of_mask & -of_mask).bit_length() - 1
    count = of_mask.bit_count()
    if of_mask != ((1 << count) - 1) << first:
        raise Unknown(f"a mask with gaps: {text}")
    return SetField(Bits(of, first, count), value(of, wanted) >> first)


def _move(source: Bits, destination: Bits) -> Move:
    if source.count != destination.count:
        raise Unknown(f"moving {source.count} bits to {destination.count}")
    return Move(source, destination)


def _learn(text: str) -> Learn:
    numbers = {"table": 0, "priority": 0, "cookie": 0, "limit": 0}
    matches: list[tuple[Bits, Bits | int]] = []
    loads: list[tuple[Bits, Bits | int]] = []
    for word in _words(text):
        name, equals, given = word.partition("=")
        if name in numbers:
            numbers[name] = int(given, 0)
        elif word.startswith("load:"):
            source, _, destination = word.removeprefix("load:").partition("->")
            loads.append((bits(destination), _source(source)))
        elif name not in _IGNORED:
            matches.append((bits(name), _source(given) if equals else bits(name)))
    return Learn(**numbers, matches=tuple(matches), loads=tuple(loads))


def _source(text: str) -> Bits | int:
    return bits(text) if text.endswith("]") else int(text, 0)
