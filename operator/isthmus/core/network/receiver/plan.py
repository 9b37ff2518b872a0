"""The receiver's plan of one network, in stages: the first stage with actions is the plan of this round."""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.federation.peer import has_feature, view_of
from isthmus.core.network.attachment import (
    create_port,
    delete_unused_ports,
    detach,
    exempt_port,
    gateway_ports,
    leave_node,
    network_identity,
    new_attachment,
    published_ports,
    restore_port,
    tenant_ports,
)
from isthmus.core.network.carried_groups import group_actions
from isthmus.core.network.drift import Repairs
from isthmus.core.network.known_addresses import changes_only_known_addresses
from isthmus.core.network.port_slices import delete_unused_slices, slice_updates, with_ports
from isthmus.core.network.remote_ports import delete_remote_ports, remote_port_actions
from isthmus.core.network.repaired import with_events
from isthmus.core.network.stages import plan_in_stages
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
    Problem,
)
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.expansionlink import Answer, ExpansionLink, ExpansionLinkSpec
from isthmus.model.protocol import Feature
from isthmus.model.reasons import Reason

from . import replica as replica
from .direct import holds_attachment, publish_member_links, release_member_links
from .forwarding import wanted_attachment
from .members import installed_generation, reachable
from .project import not_usable
from .remote_ports import planned_remote_ports, reserved_addresses
from .replica_gateways import NEUTRAL_MESSAGE
from .shortage import low_subnets
from .state import Receiver

Actions = tuple[Action, ...]
_FAILURE_MESSAGE = "the receiving cloud cannot create its replica for a reason of its own; it tries again"
_RELEASED = {
    "verdict": "Released",
    "reason": Reason.RELEASED,
    "message": "",
    "gateway_addresses": (),
    "low_subnets": (),
}
_FALLBACK_MTU = 1280  # published with a refusal if no MTU is known; the field is required


def plan_receiver(receiver: Receiver, repairs: Repairs) -> Plan:
    """See `plan_in_stages`."""
    first, then = (_CONNECTION, _REPLICATION) if is_accepted(receiver.link) else (_REPLICATION, _CONNECTION)
    replicate_stages = (*first, *then, *_AT_LAST)
    stages = {"Replicate": replicate_stages, "Remove": _WITHDRAWAL, "Refuse": _WITHDRAWAL, "Hold": ()}[receiver.intent]
    plan = plan_in_stages(receiver, stages, repairs, receiver.facts)
    attachment, actions = receiver.attachment, plan.actions
    if attachment is not None and is_accepted(receiver.link):  # after a withdrawal nothing was made before
        actions = tuple(with_events(actions, attachment.spec, receiver.facts, attachment))
    return replace(
        plan,
        actions=actions,
        needs_fresh_facts=not changes_only_known_addresses(plan.actions, receiver.attachment),
        left_alone=not_usable(receiver) or plan.left_alone,
    )


def plan_failure_answer(receiver: Receiver) -> Plan:
    """Refuse for now if the replica failed before it was complete; the origin learns of it, but not of its cause."""
    remote_link = receiver.remote_link
    if receiver.intent != "Replicate" or remote_link is None or is_accepted(receiver.link):
        return Plan()
    answer = Answer(
        uid=remote_link.uid,
        generation=remote_link.generation,
        verdict="Refused",
        reason=Reason.REPLICA_FAILED,
        message=_FAILURE_MESSAGE,
    )
    return Plan(_publish(receiver, answer))


def _answer(receiver: Receiver) -> Actions:
    """Accept once the replica is complete; if a newer link is refused, or its gateways are, say why."""
    remote_link, problem = receiver.remote_link, receiver.remote_link_state.problem
    if problem is None and replica.gateways_in_use(receiver) is not None:
        problem = Problem(Reason.GATEWAY_IN_USE, NEUTRAL_MESSAGE)
    if remote_link is None or (not is_accepted(receiver.link) and not replica.is_complete(receiver)):
        return ()
    answer = Answer(
        uid=remote_link.uid,
        generation=remote_link.generation,
        verdict="Accepted",
        low_subnets=low_subnets(receiver),
        gateway_addresses=replica.local_gateways(receiver),
        installed_generation=installed_generation(receiver),
        reachable=reachable(receiver),
    )
    if problem is not None:
        answer = answer.model_copy(update={"reason": problem.reason, "message": problem.message[:1024]})
    return _publish(receiver, answer)


def _release(receiver: Receiver) -> Actions:
    """Once disconnected: publish Refused or Released while the offer exists, otherwise delete our link."""
    link = receiver.link
    if receiver.intent == "Refuse":
        offered = view_of(receiver.snapshot, receiver.cloud_id).links.get(receiver.name) or receiver.remote_link
        answered, refusal = offered or (link.spec.answer if link else None), receiver.refusal
        if answered is None or refusal is None:
            return ()
        answer = Answer(
            uid=answered.uid,
            generation=answered.generation,
            verdict="Refused",
            reason=refusal.reason,
            message=refusal.message[:1024],
        )
        return _publish(receiver, answer)
    if link is None:
        return _release_unanswered(receiver)
    if link.spec.answer is None:
        return ()
    if receiver.peer is None or (_is_confirmed(receiver, link.spec.answer) and not receiver.agreement_ended):
        return (DeleteObject(link),)
    released = link.spec.answer.model_copy(update=_RELEASED)
    if receiver.remote_link is not None:
        released = released.model_copy(
            update={"uid": receiver.remote_link.uid, "generation": receiver.remote_link.generation}
        )
    return _publish(receiver, released)


def _is_confirmed(receiver: Receiver, answer: Answer) -> bool:
    """Whether the origin has deleted its link, so that ours is not needed any more.

    After Released any complete read without it is enough: should it be published again, it is released again.
    """
    view = view_of(receiver.snapshot, receiver.cloud_id)
    released = answer.verdict == "Released" and view.complete and receiver.name not in view.links
    return released or receiver.remote_link_state.presence == "Absent"


def _release_unanswered(receiver: Receiver) -> Actions:
    """Confirm a withdrawn link that we have no answer to, perhaps any more: else its origin would wait for ever.

    An origin cannot rely on the absence of our link if our PeerLink has been created again since it read the link.
    """
    remote_link = receiver.remote_link
    if receiver.agreement_ended or remote_link is None or remote_link.spec.state != "Withdrawn":
        return ()
    released = Answer(
        uid=remote_link.uid, generation=remote_link.generation, verdict="Released", reason=Reason.RELEASED
    )
    return _publish(receiver, released)


def _delete_unused_slices(receiver: Receiver) -> Actions:
    links = (receiver.link,) if receiver.link is not None else ()
    return delete_unused_slices(receiver.snapshot, receiver.name, links)


def _publish_gateway(receiver: Receiver) -> Actions:
    """Publish another active node before anything else: from then on the peer accepts nothing from the previous one."""
    link, gateway = receiver.link, receiver.gateway.name if receiver.gateway else None
    if link is None or not is_accepted(link) or link.spec.gateway == gateway:
        return ()
    wanted = {"gateway": gateway, "mtu": receiver.offered_mtu or link.spec.mtu}
    return (ApplyObject(_local_link(receiver, link.spec.model_copy(update=wanted))),)


def _publish_member_links(receiver: Receiver) -> Actions:
    gateway = receiver.gateway.name if receiver.gateway else None
    return publish_member_links(receiver.snapshot, receiver.name, receiver.attachment, receiver.direct_members, gateway)


def _release_member_links(receiver: Receiver) -> Actions:
    return release_member_links(receiver.snapshot, receiver.name, receiver.attachment, receiver.direct_members)


def _leave_node(receiver: Receiver) -> Actions:
    return leave_node(receiver.attachment, receiver.name, receiver.gateway) if receiver.attachment else ()


def _create_port(receiver: Receiver) -> Actions:
    if receiver.attachment is None or receiver.facts is None or not is_accepted(receiver.link):
        return ()
    return create_port(receiver.name, receiver.gateway, receiver.facts)


def _update_attachment(receiver: Receiver) -> Actions:
    attachment, wanted = receiver.attachment, wanted_attachment(receiver)
    if attachment is None or wanted is None or wanted == attachment.spec:
        return ()
    return (ApplyObject(new_attachment(receiver.name, wanted)),)


def _restore_port(receiver: Receiver) -> Actions:
    return restore_port(receiver.name, receiver.facts) if receiver.facts else ()


def _exempt_port(receiver: Receiver) -> Actions:
    return exempt_port(receiver.facts) if receiver.facts else ()


def _delete_unused_ports(receiver: Receiver) -> Actions:
    if receiver.attachment is None or receiver.facts is None:
        return ()
    return delete_unused_ports(receiver.attachment.spec, receiver.gateway, receiver.facts)


def _detach(receiver: Receiver) -> Actions:
    return detach(receiver.attachment, receiver.name, receiver.facts) if receiver.attachment else ()


def _security_groups(receiver: Receiver) -> Actions:
    if receiver.facts is None or not is_accepted(receiver.link):
        return ()
    return group_actions(receiver.facts, receiver.carried_groups, receiver.cloud_id)


def _remote_ports(receiver: Receiver) -> Actions:
    plan, facts = planned_remote_ports(receiver), receiver.facts
    return remote_port_actions(receiver.name, facts, plan) if facts is not None and plan is not None else ()


def _delete_remote_ports(receiver: Receiver) -> Actions:
    return delete_remote_ports(receiver.facts)


def ports_in_use(receiver: Receiver) -> tuple[str, ...]:
    """IDs of the ports that prevent the deletion of the replica; ordered."""
    if receiver.facts is None or receiver.facts.network is None:
        return ()
    return tuple(sorted(port.id for port in tenant_ports(receiver.facts)))


def _remove_network(receiver: Receiver) -> Actions:
    """Delete our ports, then the network, with which Neutron deletes its subnets and its own ports."""
    facts = receiver.facts
    if receiver.attachment is None or facts is None or facts.network is None or ports_in_use(receiver):
        return ()
    ports = (DeletePort(p.id) for p in gateway_ports(facts))
    return (*replica.delete_duplicates(receiver), *ports, DeleteNetwork(facts.network.id))


def project_to_delete(receiver: Receiver) -> str | None:
    """ID of the replica project, if no replica network needs it any more; else None."""
    facts = receiver.facts
    if receiver.attachment is None or facts is None or facts.network is not None or facts.project is None:
        return None
    ours = facts.project.description == receiver.project_marker
    return facts.project.id if ours and not _shares_project(receiver, facts.project.id) else None


def _remove_project(receiver: Receiver) -> Actions:
    """Delete the replica project only once it is empty: its users may need what they created in it.

    The record goes first: a recorded project that is gone was deleted by somebody else.
    """
    project_id, attachment = project_to_delete(receiver), receiver.attachment
    if attachment is None or project_id is None or receiver.facts is None or not receiver.facts.project_is_empty:
        return ()
    record = receiver.record.model_copy(update={"project_id": None, "network_id": None, "subnets": ()})
    forgotten = new_attachment(receiver.name, attachment.spec.model_copy(update={"record": record}))
    return (*((ApplyObject(forgotten),) if record != receiver.record else ()), DeleteProject(project_id))


def _delete_attachment(receiver: Receiver) -> Actions:
    """Delete the domain after its last project, and at last the Attachment with the record."""
    facts, attachment = receiver.facts, receiver.attachment
    if attachment is not None and holds_attachment(receiver.snapshot, receiver.name, attachment):
        return ()
    if attachment is None or facts is None or facts.network is not None or project_to_delete(receiver) is not None:
        return ()
    domain_id = receiver.own_domain_id(facts.domain)
    domain_is_unused = facts.project is None and facts.projects_in_domain == 0 and domain_id is not None
    return (*((DeleteDomain(domain_id),) if domain_is_unused and domain_id else ()), DeleteObject(attachment))


def _shares_project(receiver: Receiver, project_id: str) -> bool:
    record, ours = receiver.record, receiver.attachment is not None and receiver.attachment.spec.role == "Receiver"
    return receiver.snapshot.networks_in_project(project_id) > (ours and record.project_id == project_id)


def _publish(receiver: Receiver, answer: Answer) -> Actions:
    """Publish our link with this answer, if it changed."""
    connected = answer.verdict == "Accepted"
    previous = receiver.link.spec.mtu if receiver.link else None
    facts = receiver.facts
    spec = ExpansionLinkSpec(
        cloud_id=receiver.snapshot.own.cloud_id,
        peer_cloud_id=receiver.cloud_id,
        origin=network_identity(receiver.name),
        state="Withdrawn" if receiver.agreement_ended else "Active",
        answer=answer,
        mtu=receiver.offered_mtu or previous or _FALLBACK_MTU,
        gateway=receiver.gateway.name if connected and receiver.gateway else None,
    )
    ipv6 = has_feature(receiver.snapshot, receiver.cloud_id, Feature.IPV6)
    ports = published_ports(facts, ipv6=ipv6, matching=receiver.group_matching) if connected and facts else ()
    if connected:
        reserved = {"reserved_addresses": reserved_addresses(receiver) or None}
        spec = with_ports(receiver.snapshot, spec.model_copy(update=reserved), ports, receiver.link)
    updates = slice_updates(receiver.snapshot, spec, ports)
    if receiver.link is not None and receiver.link.spec == spec:
        return updates
    return (*updates, ApplyObject(_local_link(receiver, spec)))


def _local_link(receiver: Receiver, spec: ExpansionLinkSpec) -> ExpansionLink:
    """Our link as an object to apply."""
    metadata = ObjectMeta(
        name=receiver.name,
        namespace=names.peer_namespace(receiver.cloud_id),
        labels={names.PEER_LABEL: receiver.cloud_id},
    )
    return ExpansionLink(metadata=metadata, spec=spec)


_REPLICATION = (
    replica.create_attachment,
    replica.ensure_domain,
    replica.ensure_project,
    replica.ensure_network,
    replica.ensure_subnets_and_tag,
    replica.reserve_gateways,
    _answer,
    _delete_unused_slices,
)
# Planned first once the network is accepted: a failure of the replica must not prevent a move to another gateway node.
_CONNECTION = (
    _publish_gateway,
    _publish_member_links,
    _leave_node,
    _delete_unused_ports,
    _create_port,
    _update_attachment,
    _release_member_links,
    _restore_port,
    replica.set_mtu,
)
_AT_LAST = (_exempt_port, _remote_ports, _security_groups)
_WITHDRAWAL = (
    _publish_member_links,
    _detach,
    _release_member_links,
    _delete_unused_slices,
    _release,
    _delete_remote_ports,
    _remove_network,
    _remove_project,
    _delete_attachment,
)
