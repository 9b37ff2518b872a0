"""The links that a peer publishes, as last read: parsed and bounded, but not yet validated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from isthmus.model.api.objects import ApiModel
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLinkSpec
from isthmus.model.api.v1alpha1.memberlink import MemberLinkSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLinkSpec
from isthmus.model.api.v1alpha1.portslice import PortSliceSpec
from isthmus.model.cached import cached_property
from isthmus.model.names import port_slice
from isthmus.model.reasons import Reason
from isthmus.model.sharedmapping import SharedMapping
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
    """What was read of a peer last.

    If the peer cannot be read, `reachable` is false, `reason` and `message` say why, and all objects are those that
    were read last. Only if `complete` is true, a name that is missing from `links` is not published any more.
    """

    reachable: bool
    complete: bool = False
    reason: Reason = Reason.REACHABLE
    message: str = ""
    peer_link: Published[PeerLinkSpec] | None = None
    links: SharedMapping[str, Published[ExpansionLinkSpec]] = field(default_factory=SharedMapping)
    """By name."""
    port_slices: SharedMapping[str, Mapping[int, Published[PortSliceSpec]]] = field(default_factory=SharedMapping)
    """By link name, then by bucket. A slice that is missing is unknown, whether the view is complete or not."""
    port_slices_problem: str = ""
    """Why PortSlices cannot be read although the peer speaks a version that has them."""
    member_links: SharedMapping[str, Published[MemberLinkSpec]] = field(default_factory=SharedMapping)
    """By name."""
    member_links_complete: bool = False
    """Whether a name that is missing from `member_links` is not published any more, if the view is complete."""
    member_links_problem: str = ""
    """Why MemberLinks cannot be read although the peer speaks a version that has them."""

    @cached_property
    def not_understood(self) -> Mapping[str, str]:
        """What was not understood of which object, by its name: the fields that were left out, or what is malformed."""
        found = {"PeerLink": _left_out(self.peer_link)} if self.peer_link else {}
        found |= {name: _left_out(link) for name, link in self.links.items()}
        for link_name, slices in self.port_slices.items():
            found |= {port_slice(link_name, bucket): _left_out(each) for bucket, each in slices.items()}
        found |= {f"MemberLink {name}": _left_out(link) for name, link in self.member_links.items()}
        found["PortSlices"] = self.port_slices_problem
        found["MemberLinks"] = self.member_links_problem
        return {name: text for name, text in found.items() if text}

    @classmethod
    def of_documents(
        cls,
        cloud_id: str,
        peer_links: Iterable[Mapping[str, Any]],
        links: Iterable[Mapping[str, Any]],
        port_slices: Iterable[Mapping[str, Any]] = (),
        member_links: Iterable[Mapping[str, Any]] = (),
    ) -> Self:
        """The view from one complete read. A peer's PeerLink is the one with its own cloud ID as name."""
        return cls(
            reachable=True,
            complete=True,
            peer_link=_by_name(peer_links, PeerLinkSpec).get(cloud_id),
            links=SharedMapping(_by_name(links, ExpansionLinkSpec)),
            port_slices=SharedMapping(by_bucket(_by_name(port_slices, PortSliceSpec))),
            member_links=SharedMapping(_by_name(member_links, MemberLinkSpec)),
            member_links_complete=True,
        )


class Identity(ApiModel):
    """The metadata of a peer's object that counts."""

    name: ObjectName
    uid: ObjectUID
    generation: Generation

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self | None:
        """None if it has none: it cannot be reported then, and no API server stores such an object."""
        try:
            return cls.model_validate(document.get("metadata"))
        except ValidationError:
            return None


def read_object(identity: Identity, spec: object, spec_type: type[S]) -> Published[S]:
    """One object that a peer publishes."""
    understood = understand(spec_type, spec)
    slice_ = understood.spec
    if isinstance(slice_, PortSliceSpec) and identity.name != port_slice(slice_.origin.link_name, slice_.bucket):
        return Published(identity.uid, identity.generation, None, "the name is not that of its network and bucket")
    return Published.of(identity.uid, identity.generation, understood)


def by_bucket(slices: Mapping[str, Published[PortSliceSpec]]) -> dict[str, dict[int, Published[PortSliceSpec]]]:
    """PortSlices by link name and bucket; those whose name has no bucket are ignored."""
    found: dict[str, dict[int, Published[PortSliceSpec]]] = {}
    for name, published in slices.items():
        link_name, bucket = bucket_of_name(name)
        if bucket is not None:
            found.setdefault(link_name, {})[bucket] = published
    return found


def bucket_of_name(name: str) -> tuple[str, int | None]:
    """The link name and the bucket in the name of a PortSlice; None as bucket if there is none."""
    link_name, _, bucket = name.rpartition(".")
    return link_name, int(bucket) if re.fullmatch(r"0|[1-9][0-9]{0,2}", bucket) else None


def _by_name(documents: Iterable[Mapping[str, Any]], spec_type: type[S]) -> dict[str, Published[S]]:
    identified = ((Identity.of(document), document.get("spec")) for document in documents)
    return {identity.name: read_object(identity, spec, spec_type) for identity, spec in identified if identity}


def _left_out(published: Published[Any]) -> str:
    return published.problem or ", ".join(published.left_out)
