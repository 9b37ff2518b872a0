"""What objects are looked up by, besides their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from isthmus.model import names
from isthmus.model.api.objects import Conditions, CustomObject, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, Offer
from isthmus.model.api.v1alpha1.memberlink import MemberLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.portslice import PortSlice
from isthmus.model.reasons import ConditionType, Reason


class Facet(NamedTuple):
    """A value that objects of a kind are found by."""

    name: str
    value: str | int | tuple[str, int]


def facets_of(obj: CustomObject) -> tuple[Facet, ...]:
    """All values that the object is found by; none for kinds of which there are few."""
    found = _BY_KIND.get(type(obj))
    return tuple(found(obj)) if found else ()


def is_accepted(link: ExpansionLink | None) -> bool:
    """Whether our ExpansionLink accepts the peer's offer."""
    return link is not None and link.spec.answer is not None and link.spec.answer.verdict == "Accepted"


def peers_offer(link: ExpansionLink | None) -> Offer | None:
    """The peer's offer that our ExpansionLink answers, as last read; None if there is none."""
    remote = link.status.peer if link is not None else None
    return remote.spec.offer if remote is not None else None


def is_awaiting(link: ExpansionLink) -> bool:
    """Whether our ExpansionLink says that the peer's offer awaits a decision of our administrators."""
    answer = link.spec.answer
    return answer is not None and (answer.verdict, answer.reason) == ("Refused", Reason.AWAITING_APPROVAL)


def projects_of(cloud_id: str) -> str:
    """The facet of Attachments whose values are the IDs of the projects that are replicated from that peer."""
    return f"projects of {cloud_id}"


def is_kept_project(attachment: Attachment) -> bool:
    """Whether nothing is left of a replica but its project, which is kept."""
    condition = condition_of(attachment.status.conditions, ConditionType.REPLICA_IN_USE)
    return condition is not None and condition.status == "True" and condition.reason == Reason.PROJECT_KEPT


def is_given_up(attachment: Attachment) -> bool:
    """Whether a replica was being removed when it was last looked at, as its conditions have it."""
    condition = condition_of(attachment.status.conditions, ConditionType.REPLICA_IN_USE)
    return condition is not None and condition.reason != Reason.NOT_WITHDRAWN


def _of_peer(peer: CustomObject) -> Iterator[Facet]:
    if isinstance(peer, CloudPeer):
        yield Facet("cloud", peer.spec.cloud_id)
        yield Facet("policy", peer.spec.ipsec.policy_ref.name)
        yield Facet("secret", peer.spec.api.kubeconfig_secret_ref.name)
        yield _state(peer.status.conditions)


def _of_expansion(expansion: CustomObject) -> Iterator[Facet]:
    if isinstance(expansion, NetworkExpansion):
        yield Facet("network", expansion.spec.network_id)
        namespace = expansion.metadata.namespace or ""
        yield Facet("namespace", namespace)
        yield Facet("held" if names.FINALIZER in expansion.metadata.finalizers else "requested", namespace)
        offered = {peer.name for peer in expansion.status.peers if peer.tunnel_id is not None}
        for peer in expansion.spec.peers:
            yield Facet("peer", peer.name)
            if peer.name not in offered:
                yield Facet("waiting", peer.name)


def is_forgotten(link: ExpansionLink) -> bool:
    """Whether somebody said not to wait for the peer's release of the network."""
    return link.metadata.annotations.get(names.FORGET_ANNOTATION) == "true"


def _of_link(link: CustomObject) -> Iterator[Facet]:
    if isinstance(link, ExpansionLink):
        namespace, spec = link.metadata.namespace or "", link.spec
        yield Facet("network", link.metadata.name)
        yield Facet("namespace", namespace)
        yield _state(link.status.conditions)
        if spec.answer is None or spec.state != "Withdrawn":
            yield Facet("unreleased", namespace)
        if is_forgotten(link):
            yield Facet("forgotten", namespace)
        if spec.offer is not None:
            yield from (Facet("offered", (namespace, tunnel_id)) for tunnel_id in spec.offer.tunnel_ids)
            yield Facet("with_tunnel_ids", (namespace, len(spec.offer.tunnel_ids)))
            if spec.state == "Active":
                yield Facet("active", namespace)
        if is_accepted(link):
            yield Facet("accepted", namespace)
            if (found := peers_offer(link)) is not None:
                yield from (Facet("accepted", (namespace, tunnel_id)) for tunnel_id in found.tunnel_ids)
                yield from (Facet("named", cloud_id) for cloud_id in {*found.named.values()})
        elif spec.answer is not None:
            yield Facet("refused", namespace)
            if is_awaiting(link):
                yield Facet("awaiting", namespace)
        if spec.answer is not None:
            yield Facet("answered", namespace)


def _of_port_slice(held: CustomObject) -> Iterator[Facet]:
    if isinstance(held, PortSlice):
        yield Facet("link", f"{held.metadata.namespace}/{held.spec.origin.link_name}")
        yield Facet("network", held.spec.origin.link_name)


def _of_member_link(link: CustomObject) -> Iterator[Facet]:
    if isinstance(link, MemberLink):
        namespace, spec = link.metadata.namespace or "", link.spec
        yield Facet("network", link.metadata.name)
        yield Facet("namespace", namespace)
        yield Facet("offered", (namespace, spec.tunnel_id))
        if spec.cloud_id < spec.peer_cloud_id:
            yield Facet("allocated", namespace)


def _of_approval(approval: CustomObject) -> Iterator[Facet]:
    if isinstance(approval, ExpansionApproval):
        yield Facet("network", approval.metadata.name)
        yield Facet("namespace", approval.metadata.namespace or "")


def _of_attachment(attachment: CustomObject) -> Iterator[Facet]:
    if isinstance(attachment, Attachment):
        spec = attachment.spec
        yield Facet("origin", spec.origin.cloud_id)
        yield Facet("patch", names.patch_in_cloud_bridge(attachment.metadata.name))
        yield Facet("node", spec.active_node or "")
        if spec.role == "Receiver" and spec.record.origin_project_id is not None:
            yield Facet(projects_of(spec.origin.cloud_id), spec.record.origin_project_id)
        if spec.role == "Receiver" and spec.record.project_id is not None:
            yield Facet("project", spec.record.project_id)
        if spec.role == "Receiver" and spec.record.network_id is not None:
            yield Facet("replica", spec.record.network_id)
        if is_kept_project(attachment):
            yield Facet("kept", spec.origin.cloud_id)
        if spec.role == "Receiver" and spec.record.network_id is None:
            yield Facet("incomplete", spec.origin.cloud_id)
        for path in spec.links:
            yield Facet("path", path.cloud_id)
            for tunnel_id in (path.tunnel_id, *(member.tunnel_id for member in path.members)):
                yield Facet("path", (spec.origin.cloud_id, tunnel_id))
        for direct in spec.direct_paths:
            yield Facet("path", direct.cloud_id)
            yield Facet("path", (direct.cloud_id, direct.tunnel_id))


def _state(conditions: Conditions) -> Facet:
    """The reason of `Ready`; `New` if there is none yet."""
    ready = condition_of(conditions, ConditionType.READY)
    return Facet("state", ready.reason if ready else "New")


_BY_KIND: Final[Mapping[type[CustomObject], Callable[[CustomObject], Iterator[Facet]]]] = MappingProxyType(
    {
        CloudPeer: _of_peer,
        NetworkExpansion: _of_expansion,
        ExpansionLink: _of_link,
        PortSlice: _of_port_slice,
        MemberLink: _of_member_link,
        ExpansionApproval: _of_approval,
        Attachment: _of_attachment,
    }
)
