"""Reads a peer's objects as far as this version understands them.

A newer peer may publish values and entries that this version does not know. They are left out one by one, or read as
the value that is safe; only an object that lacks what nothing works without is malformed. Our own objects, which the
API server has checked, are parsed strictly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from isthmus.model.api.objects import ApiModel
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.memberlink import MemberLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSliceSpec

S = TypeVar("S", bound=ApiModel)

Step = str | int
Path = tuple[Step, ...]

_MAX_PROBLEM_CHARACTERS: Final = 512
_MAX_PASSES: Final = 8  # an error hides those inside of it; our objects are nested less deeply than this
_ENTRY: Final = "[]"


@dataclass(frozen=True)
class LeaveOut:
    """Read the object as if the field or the entry were not there; of a list that is too long, the first entries."""


@dataclass(frozen=True)
class Shorten:
    """Take the first entries of a list that is too long; anything else at this place is malformed."""


@dataclass(frozen=True)
class ReadAs:
    """Read an unknown value as this one."""

    value: str | int


Rule = LeaveOut | Shorten | ReadAs
_LEAVE_OUT, _SHORTEN = LeaveOut(), Shorten()

_RULES: Final[Mapping[type[ApiModel], Mapping[str, Rule]]] = MappingProxyType(
    {
        PeerLinkSpec: {
            "protocolVersions": _LEAVE_OUT,
            "protocolVersions[]": _LEAVE_OUT,
            "state": ReadAs("Cordoned"),  # it accepts nothing new: what is stretched stays, whatever it means
            "drain": _LEAVE_OUT,
            "gateways": _SHORTEN,
            "gateways[]": _LEAVE_OUT,
            "ipsec.hybridProposals": _LEAVE_OUT,
            "ipsec.hybridProposals[]": _LEAVE_OUT,
            "ipsec.ikeProposals": _SHORTEN,
            "ipsec.ikeProposals[]": _LEAVE_OUT,
            "ipsec.espProposals": _SHORTEN,
            "ipsec.espProposals[]": _LEAVE_OUT,
        },
        ExpansionLinkSpec: {
            "state": ReadAs("Active"),  # the caller replaces it by the last one that was understood
            "offer.networkName": _LEAVE_OUT,
            "offer.gatewayChoice": _LEAVE_OUT,
            "offer.project.name": _LEAVE_OUT,
            "offer.subnets": _SHORTEN,
            "offer.subnets[]": _LEAVE_OUT,
            "offer.subnets[].name": _LEAVE_OUT,
            "offer.subnets[].dnsNameservers": _LEAVE_OUT,
            "offer.subnets[].dnsNameservers[]": _LEAVE_OUT,
            "offer.subnets[].hostRoutes": _LEAVE_OUT,
            "offer.subnets[].hostRoutes[]": _LEAVE_OUT,
            "offer.subnets[].furtherRanges": _LEAVE_OUT,
            "offer.subnets[].furtherRanges[]": _LEAVE_OUT,
            "answer.lowSubnets": _LEAVE_OUT,
            "answer.lowSubnets[]": _LEAVE_OUT,
            "offer.number": _LEAVE_OUT,
            "offer.members": _LEAVE_OUT,
            "offer.members[]": _LEAVE_OUT,
            "offer.members[].cloudID": _LEAVE_OUT,
            "offer.routerAddresses": _LEAVE_OUT,
            "offer.routerAddresses[]": _LEAVE_OUT,
            "offer.sharedAddresses": _LEAVE_OUT,
            "offer.sharedAddresses[]": _LEAVE_OUT,
            "offer.groupMatching": _LEAVE_OUT,
            "offer.carriedGroups": _LEAVE_OUT,
            "offer.carriedGroups[]": _LEAVE_OUT,
            "offer.carriedGroups[].rules": _LEAVE_OUT,
            "offer.carriedGroups[].rules[]": _LEAVE_OUT,
            "answer.installedGeneration": _LEAVE_OUT,
            "answer.reachable": _LEAVE_OUT,
            "answer.reachable[]": _LEAVE_OUT,
            "answer.verdict": ReadAs("Refused"),  # likewise
            "answer.reason": ReadAs("Refused"),
            "answer.message": _LEAVE_OUT,
            "answer.gatewayAddresses": _LEAVE_OUT,
            "answer.gatewayAddresses[]": _LEAVE_OUT,
            "reservedAddresses": _LEAVE_OUT,
            "reservedAddresses[]": _LEAVE_OUT,
            "ports": _LEAVE_OUT,
            "ports[]": _LEAVE_OUT,
            "ports[].addresses": _LEAVE_OUT,
            "ports[].addresses[]": _LEAVE_OUT,
            "ports[].exclusive": _LEAVE_OUT,
            "ports[].groups": _LEAVE_OUT,
            "ports[].groups[]": _LEAVE_OUT,
            "portBuckets": ReadAs(256),  # no slice belongs to so many: the ports are unknown, and not none
        },
        MemberLinkSpec: {"gateway": _LEAVE_OUT},
        PortSliceSpec: {
            "ports[]": _LEAVE_OUT,
            "ports[].addresses": _LEAVE_OUT,
            "ports[].addresses[]": _LEAVE_OUT,
            "ports[].exclusive": _LEAVE_OUT,
            "ports[].groups": _LEAVE_OUT,
            "ports[].groups[]": _LEAVE_OUT,
        },
    }
)


@dataclass(frozen=True)
class Understood(Generic[S]):
    """What was understood of one `spec`."""

    spec: S | None
    """None if it is malformed."""
    problem: str = ""
    """Why it is malformed: the fields and what is wrong with them; bounded, since the peer chose them."""
    left_out: tuple[str, ...] = ()
    """The fields of which something was not understood, such as `ports[].addresses[]`; in order."""
    left_out_subnets: frozenset[str] = frozenset()
    """IDs of the subnets of an offer that were not understood."""


def understand(spec_type: type[S], document: object) -> Understood[S]:
    """Parse a `spec` that a peer publishes."""
    rules = _RULES.get(spec_type, {})
    left_out, subnets = set[str](), set[str]()
    for _ in range(_MAX_PASSES):
        try:
            return Understood(spec_type.model_validate(document), "", tuple(sorted(left_out)), frozenset(subnets))
        except ValidationError as error:
            errors = _independent(error.errors(include_url=False, include_input=False))
        draft = _Draft(document)
        found = [(_rule_for(rules, each), each) for each in errors]
        if any(match is None for match, _ in found):
            return Understood(None, _problem(each for match, each in found if match is None))
        for match, each in found:
            if match is not None:
                left_out.add(match.field)
                subnets |= draft.apply(match, each)
        document = draft.finished()
    return Understood(None, _problem(errors))


@dataclass(frozen=True)
class _Match:
    """A rule, and the place that it applies to."""

    field: str
    place: Path
    rule: Rule


def _rule_for(rules: Mapping[str, Rule], error: ErrorDetails) -> _Match | None:
    """The rule of the innermost field around the error that has one."""
    location = error["loc"]
    for length in range(len(location), 0, -1):
        field = _field(location[:length])
        rule = rules.get(field)
        if rule is not None:
            return (
                None
                if isinstance(rule, Shorten) and not _is_too_long(error, length)
                else _Match(field, location[:length], rule)
            )
    return None


def _independent(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without "too short" of a list with bad entries: pydantic counts none of its entries then."""
    places = {error["loc"][:length] for error in errors for length in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in places]


def _is_too_long(error: ErrorDetails, length: int) -> bool:
    return error["type"] == "too_long" and len(error["loc"]) == length


def _field(location: Path) -> str:
    """The field as the rules name it: entries of a list have no number."""
    text = ""
    for step in location:
        text += _ENTRY if isinstance(step, int) else f".{step}" if text else step
    return text


class _Draft:
    """A document that can be changed without changing the one that was given: containers are copied when needed."""

    def __init__(self, document: object) -> None:
        self._root: dict[Step, Any] = {"": document}
        self._copied: dict[Path, Any] = {(): self._root}
        self._entries_to_drop: dict[Path, set[int]] = {}

    def apply(self, match: _Match, error: ErrorDetails) -> set[str]:
        """Apply one rule; returns the ID of the subnet that it leaves out."""
        *outer, last = ("", *match.place)
        container = self._editable(tuple(outer))
        if isinstance(match.rule, ReadAs):
            container[last] = match.rule.value
        elif _is_too_long(error, len(match.place)):
            container[last] = container[last][: error["ctx"]["max_length"]]
        elif isinstance(last, int):
            self._entries_to_drop.setdefault(tuple(outer), set()).add(last)
            return _subnet_id(container[last]) if match.field == "offer.subnets[]" else set()
        else:
            container.pop(last, None)
        return set()

    def finished(self) -> object:
        """The document after all changes."""
        # Inner lists first: the path to one may lead through an entry that is dropped itself.
        for place in sorted(self._entries_to_drop, key=len, reverse=True):
            *outer, last = place
            kept = self._entries_to_drop[place]
            container = self._editable(tuple(outer))
            container[last] = [entry for number, entry in enumerate(container[last]) if number not in kept]
        return self._root[""]

    def _editable(self, place: Path) -> Any:
        if place not in self._copied:
            *outer, last = place
            container = self._editable(tuple(outer))
            container[last] = dict(container[last]) if isinstance(container[last], dict) else list(container[last])
            self._copied[place] = container[last]
        return self._copied[place]


def _subnet_id(entry: object) -> set[str]:
    found = entry.get("id") if isinstance(entry, dict) else None
    return {found[:64]} if isinstance(found, str) else set()


def _problem(errors: Any) -> str:
    """Which fields are wrong and how."""
    lines = (f"{'.'.join(str(part) for part in ('spec', *e['loc']))}: {e['msg']}" for e in errors)
    return "; ".join(lines)[:_MAX_PROBLEM_CHARACTERS]
