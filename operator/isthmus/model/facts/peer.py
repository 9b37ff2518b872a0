"""The links that a peer publishes, as last read: parsed and bounded, but not yet validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from isthmus.model.api.objects import ApiModel
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.reasons import Reason
from isthmus.model.types import Generation, ObjectName, ObjectUID

from .tolerance import Understood, understand

S = TypeVar("S", bound=ApiModel)


@dataclass(frozen=True)
class Published(Generic[S]):
    """One object that the peer publishes. If it is malformed, `spec` is None and `problem` says why."""

    uid: str
    generation: int
    spec: S | None
    problem: str = ""
    left_out: tuple[str, ...] = ()
    """The fields of which something was not understood, such as `state` or `ports[].addresses[]`."""
    left_out_subnets: frozenset[str] = frozenset()
    """IDs of the subnets of an offer that were not understood."""

    @classmethod
    def of(cls, uid: str, generation: int, understood: Understood[S]) -> Published[S]:
        """An object of which this much was understood."""
        spec, problem = understood.spec, understood.problem
        return Published(uid, generation, spec, problem, understood.left_out, understood.left_out_subnets)


@dataclass(frozen=True)
class PeerView:
    """The last read of a peer.

    If it failed, `reachable` is false, `reason` and `message` say why, and `peer_link` and `links` are those of the
    last successful read. Only if `complete` is true, a name that is missing from `links` is not published any more.
    """

    reachable: bool
    complete: bool = False
    reason: Reason = Reason.REACHABLE
    message: str = ""
    peer_link: Published[PeerLinkSpec] | None = None
    links: Mapping[str, Published[ExpansionLinkSpec]] = field(default_factory=lambda: MappingProxyType({}))
    """By name."""

    @cached_property
    def not_understood(self) -> Mapping[str, str]:
        """What was not understood of which object, by its name: the fields that were left out, or what is malformed."""
        peer_link = {"PeerLink": _left_out(self.peer_link)} if self.peer_link else {}
        found = peer_link | {name: _left_out(link) for name, link in self.links.items()}
        return {name: text for name, text in found.items() if text}

    @classmethod
    def of_documents(
        cls, cloud_id: str, peer_links: Iterable[Mapping[str, Any]], links: Iterable[Mapping[str, Any]]
    ) -> Self:
        """The view from one complete read. A peer's PeerLink is the one with its own cloud ID as name."""
        return cls(
            reachable=True,
            complete=True,
            peer_link=_by_name(peer_links, PeerLinkSpec).get(cloud_id),
            links=MappingProxyType(_by_name(links, ExpansionLinkSpec)),
        )


def _left_out(published: Published[Any]) -> str:
    return published.problem or ", ".join(published.left_out)


class _Identity(ApiModel):
    name: ObjectName
    uid: ObjectUID
    generation: Generation


def _by_name(documents: Iterable[Mapping[str, Any]], spec_type: type[S]) -> dict[str, Published[S]]:
    found = {}
    for document in documents:
        try:
            identity = _Identity.model_validate(document.get("metadata"))
        except ValidationError:
            continue  # without a name it cannot be reported; no API server stores such an object
        understood = understand(spec_type, document.get("spec"))
        found[identity.name] = Published.of(identity.uid, identity.generation, understood)
    return found
