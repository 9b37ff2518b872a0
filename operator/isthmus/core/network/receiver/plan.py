"""What the receiver does now for one network of a peer's, stage by stage: a stage that has work ends the round."""

from __future__ import annotations

from isthmus.core.federation.peer import view_of
from isthmus.core.network.attachment import (
    attachment_spec,
    delete_unused_attachment_ports,
    detach,
    ensure_attachment_port,
    gateway_ports,
    network_identity,
    new_attachment,
    published_ports,
    tenant_ports,
)
from isthmus.core.snapshot.index import is_accepted
from isthmus.model import names
from isthmus.model.actions import (
    Action,
    ApplyObject,
    DeleteDomain,
    DeleteNetwork,
    DeleteObject,
    DeletePort,
    DeleteProject,
    Plan,
)
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.expansionlink import Answer, ExpansionLink, ExpansionLinkSpec
from isthmus.model.reasons import Reason

from . import replica as replica
from .state import Receiver

Actions = tuple[Action, ...]
_FAILURE_MESSAGE = "the receiving cloud cannot create its replica for a reason of its own; it tries again"
_FALLBACK_MTU = 1280  # said in a refusal where neither side has named one


def plan_receiver(receiver: Receiver) -> Plan:
    """The first stage with work; an empty plan where everything is as it should be."""
    joining = (*_CONNECTED, *_JOINING) if is_accepted(receiver.link) else (*_JOINING, *_CONNECTED)
    stages = {"Join": joining, "Leave": _LEAVING, "Refuse": _LEAVING, "Hold": ()}[receiver.intent]
    return Plan(next((actions for stage in stages if (actions := stage(receiver))), ()))


def plan_failure_answer(receiver: Receiver) -> Plan:
    """A failure before the copy is made is a refusal for now: the origin's people learn of it, and not what it was."""
    remote_link = receiver.remote_link
    if receiver.intent != "Join" or remote_link is None or is_accepted(receiver.link):
        return Plan()
    answer = Answer(
        uid=remote_link.uid,
        generation=remote_link.generation,
        verdict="Refused",
        reason=Reason.REPLICA_FAILED,
        message=_FAILURE_MESSAGE,
    )
    return Plan(_published(receiver, answer))


def _answer(receiver: Receiver) -> Actions:
    """Accepted, once the copy is there; of a newer half that is refused we say why, and keep to the last valid one."""
    remote_link, problem = receiver.remote_link, receiver.remote_link_state.problem
    if remote_link is None or (not is_accepted(receiver.link) and not replica.is_complete(receiver)):
        return ()
    answer = Answer(uid=remote_link.uid, generation=remote_link.generation, verdict="Accepted")
    if problem is not None:
        answer = answer.model_copy(update={"reason": problem.reason, "message": problem.message[:1024]})
    return _published(receiver, answer)


def _release(receiver: Receiver) -> Actions:
    """Nothing of ours is joined any more: say so to who still asks, else take our half away."""
    link = receiver.link
    if receiver.intent == "Refuse":
        published = view_of(receiver.snapshot, receiver.cloud_id).links.get(receiver.name)
        refusal = receiver.refusal
        if published is None or refusal is None:
            return ()
        answer = Answer(
            uid=published.uid,
            generation=published.generation,
            verdict="Refused",
            reason=refusal.reason,
            message=refusal.message[:1024],
        )
        return _published(receiver, answer)
    if link is None or link.spec.answer is None:
        return ()
    if receiver.peer is None or (receiver.remote_link_state.presence == "Absent" and not receiver.ended):
        return (DeleteObject(link),)
    released = link.spec.answer.model_copy(update={"verdict": "Released", "reason": Reason.RELEASED, "message": ""})
    if receiver.remote_link is not None:
        released = released.model_copy(
            update={"uid": receiver.remote_link.uid, "generation": receiver.remote_link.generation}
        )
    return _published(receiver, released)


def _create_port(receiver: Receiver) -> Actions:
    if receiver.facts is None or not is_accepted(receiver.link):
        return ()
    return ensure_attachment_port(receiver.name, receiver.gateway, receiver.facts)


def _update_attachment(receiver: Receiver) -> Actions:
    attachment, facts, path = receiver.attachment, receiver.facts, receiver.path()
    if attachment is None or facts is None or receiver.offer is None or not is_accepted(receiver.link):
        return ()
    spec = attachment_spec(
        attachment.spec,
        receiver.name,
        receiver.gateway,
        facts,
        mtu=receiver.agreed_mtu,
        links=(path,) if path else (),
        gateway_addresses=tuple(sorted({s.gateway_ip for s in receiver.offer.subnets if s.gateway_ip})),
    )
    return () if spec == attachment.spec else (ApplyObject(new_attachment(receiver.name, spec)),)


def _delete_surplus_ports(receiver: Receiver) -> Actions:
    if receiver.attachment is None or receiver.facts is None:
        return ()
    return delete_unused_attachment_ports(receiver.name, receiver.attachment.spec, receiver.facts)


def _detach(receiver: Receiver) -> Actions:
    return detach(receiver.attachment, receiver.name, receiver.facts) if receiver.attachment else ()


def ports_in_use(receiver: Receiver) -> tuple[str, ...]:
    """IDs of the ports that keep a copy from going."""
    if receiver.facts is None or receiver.facts.network is None:
        return ()
    return tuple(sorted(port.id for port in tenant_ports(receiver.facts)))


def _remove_network(receiver: Receiver) -> Actions:
    """Our own ports, then the network: its subnets and Neutron's own ports go with it."""
    facts = receiver.facts
    if receiver.attachment is None or facts is None or facts.network is None or ports_in_use(receiver):
        return ()
    return (*(DeletePort(p.id) for p in gateway_ports(receiver.name, facts)), DeleteNetwork(facts.network.id))


def project_to_delete(receiver: Receiver) -> str | None:
    """ID of the copy of the project that is to go: no network of ours needs it any more."""
    facts = receiver.facts
    if receiver.attachment is None or facts is None or facts.network is not None or facts.project is None:
        return None
    ours = facts.project.description == receiver.project_marker
    return facts.project.id if ours and not _shares_project(receiver, facts.project.id) else None


def _remove_project(receiver: Receiver) -> Actions:
    """Only once it is empty: what its people made in it may be of use to them."""
    project_id = project_to_delete(receiver)
    return (DeleteProject(project_id),) if project_id and receiver.facts and receiver.facts.project_is_empty else ()


def _close_record(receiver: Receiver) -> Actions:
    """The domain with its last project; the record last of all."""
    facts, attachment = receiver.facts, receiver.attachment
    if attachment is None or facts is None or facts.network is not None or project_to_delete(receiver) is not None:
        return ()
    domain_id = receiver.own_domain_id(facts.domain)
    absence_confirmed = facts.project is None and facts.projects_in_domain == 0 and domain_id is not None
    return (*((DeleteDomain(domain_id),) if absence_confirmed and domain_id else ()), DeleteObject(attachment))


def _shares_project(receiver: Receiver, project_id: str) -> bool:
    others = (a for a in receiver.snapshot.all(Attachment) if a.metadata.name != receiver.name)
    return any(a.spec.role == "Receiver" and a.spec.record.project_id == project_id for a in others)


def _published(receiver: Receiver, answer: Answer) -> Actions:
    """Our half with this answer."""
    connected = answer.verdict == "Accepted"
    previous = receiver.link.spec.mtu if receiver.link else None
    facts = receiver.facts
    spec = ExpansionLinkSpec(
        cloud_id=receiver.snapshot.own.cloud_id,
        peer_cloud_id=receiver.cloud_id,
        origin=network_identity(receiver.name),
        state="Withdrawn" if receiver.ended else "Active",
        answer=answer,
        mtu=receiver.offered_mtu or previous or _FALLBACK_MTU,
        gateway=receiver.gateway.name if connected and receiver.gateway else None,
        ports=published_ports(facts) if connected and facts else (),
    )
    if receiver.link is not None and receiver.link.spec == spec:
        return ()
    metadata = ObjectMeta(
        name=receiver.name,
        namespace=names.peer_namespace(receiver.cloud_id),
        labels={names.PEER_LABEL: receiver.cloud_id},
    )
    return (ApplyObject(ExpansionLink(metadata=metadata, spec=spec)),)


_JOINING = (
    replica.open_record,
    replica.ensure_domain,
    replica.ensure_project,
    replica.ensure_network,
    replica.ensure_subnets_and_tag,
    replica.reserve_gateways,
    _answer,
)
# First of all once we have joined: no trouble with the copy keeps a network from another gateway node.
_CONNECTED = (_create_port, _update_attachment, _delete_surplus_ports, replica.set_mtu)
_LEAVING = (_detach, _release, _remove_network, _remove_project, _close_record)
