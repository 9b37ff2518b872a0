"""The links that a peer publishes, as last read: parsed and bounded, but not yet validated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from isthmus.model.api.objects import ApiModel
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.reasons import Reason
from isthmus.model.types import Generation, ObjectName, ObjectUID

S = TypeVar("S", bound=ApiModel)

_MAX_PROBLEM_CHARACTERS = 512


@dataclass(frozen=True)
class Published(Generic[S]):
    """One object that the peer publishes. If it did not parse, `spec` is None and `problem` says why."""

    uid: str
    generation: int
    spec: S | None
    problem: str = ""


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
        found[identity.name] = _published(identity, document.get("spec"), spec_type)
    return found


def _published(identity: _Identity, spec: object, spec_type: type[S]) -> Published[S]:
    try:
        return Published(identity.uid, identity.generation, spec_type.model_validate(spec))
    except ValidationError as error:
        return Published(identity.uid, identity.generation, None, _problem(error))


def _problem(error: ValidationError) -> str:
    """Which fields are wrong and how; bounded, since the peer chose them."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    lines = (f"{'.'.join(str(part) for part in ('spec', *d['loc']))}: {d['msg']}" for d in details)
    return "; ".join(lines)[:_MAX_PROBLEM_CHARACTERS]
