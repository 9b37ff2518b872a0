"""Status of our ExpansionLinks; a peer reads it, so it discloses nothing local."""

from __future__ import annotations

from datetime import datetime

from isthmus.core.federation.drain import draining
from isthmus.core.federation.peer import UNREAD, view_of
from isthmus.core.placement.gateways import Gateway
from isthmus.core.snapshot.conditions import false, readiness, true, unknown, with_transition_times
from isthmus.core.snapshot.index import Snapshot
from isthmus.core.snapshot.summary import ratio
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, Conditions, condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentSpec
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkStatus
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.reasons import ConditionType, Reason

from .conflicts import Conflicts
from .remote_link import RemoteLinkState


def connection_progress(
    attachment: Attachment | None, facts: NetworkFacts | None, gateway: Gateway | None, cloud_id: str
) -> Problem | None:
    """What is missing after both sides accepted: port, MTU, patch port or probe replies; None if connected."""
    if gateway is None or attachment is None:
        return Problem(Reason.NO_GATEWAY_NODE, "no gateway node is ready")
    spec = attachment.spec
    if spec.active_node != gateway.name or cloud_id not in {path.cloud_id for path in spec.links}:
        return Problem(Reason.ATTACHING, "connecting the network to the gateway node")
    if facts is not None and facts.network is not None and facts.network.mtu != spec.mtu:
        return Problem(Reason.SETTING_MTU, f"setting the MTU of the network to {spec.mtu}")
    observation = next((node for node in attachment.status.nodes if node.node == spec.active_node), None)
    if observation is None or not observation.plugged:
        return Problem(Reason.WAITING_FOR_AGENT, "the gateway node has not connected the network to br-cloud yet")
    if facts is not None and (problem := _neutron_problem(spec, facts)) is not None:
        return problem
    link = next((link for link in observation.links if link.cloud_id == cloud_id), None)
    if link is None:
        return Problem(Reason.WAITING_FOR_AGENT, "waiting for the gateway node to probe the link")
    return (
        None
        if link.up
        else Problem(
            Reason.parse(link.reason, Reason.PROBE_UNANSWERED), link.message or "dataplane probes are not answered"
        )
    )


def _neutron_problem(spec: AttachmentSpec, facts: NetworkFacts) -> Problem | None:
    """Why nothing passes between br-int and the network, which no dataplane probe crosses."""
    if facts.network is not None and not facts.network.admin_state_up:
        return Problem(Reason.NETWORK_DISABLED, "the network is disabled in Neutron (admin_state_up is false)")
    named = {port.port_id for port in spec.ports}
    found = next((port for port in facts.ports if port.id in named), None)
    if found is None:
        return Problem(Reason.ATTACHING, "connecting the network to the gateway node")
    if found.status != "ACTIVE":
        return Problem(Reason.PORT_DOWN, "Neutron does not report the network's attachment port as ACTIVE")
    return None


def link_status(
    snapshot: Snapshot,
    link: ExpansionLink,
    remote_link_state: RemoteLinkState,
    mtu: int | None,
    progress: Problem | None,
) -> ExpansionLinkStatus:
    """The status of our link; `progress` is what it waits for, None if it is ready; `mtu` in bytes."""
    ending = draining(snapshot, link.spec.peer_cloud_id, link.spec.peer_cloud_id)
    conditions = (*readiness(progress), _peer_seen(snapshot, link, remote_link_state), *ending)
    return ExpansionLinkStatus(
        observed_generation=link.metadata.generation,
        peer=remote_link_state.remote_link,
        mtu=mtu,
        conditions=with_transition_times(link.status.conditions, conditions, link.metadata.generation, snapshot.now),
    )


def _peer_seen(snapshot: Snapshot, link: ExpansionLink, remote_link_state: RemoteLinkState) -> Condition:
    if remote_link_state.presence == "Present":
        return true(ConditionType.PEER_SEEN, Reason.PRESENT)
    if remote_link_state.presence == "Absent":
        return false(ConditionType.PEER_SEEN, Reason.ABSENT, "the peer does not publish a link of this network")
    view = view_of(snapshot, link.spec.peer_cloud_id)
    previous = condition_of(link.status.conditions, ConditionType.PEER_SEEN)
    # An absence is not kept over a restart: the peer was not read in between, so its grace period starts again.
    if view.reason == UNREAD.reason and previous is not None and previous.status == "True":
        return previous
    return unknown(ConditionType.PEER_SEEN, Reason.ABSENCE_UNCONFIRMED if view.reachable else view.reason)


def conditions_of(attachment: Attachment | None) -> Conditions:
    """The conditions as last reported; none without an Attachment."""
    return attachment.status.conditions if attachment is not None else ()


def address_conflict(conflicts: Conflicts, before: Conditions) -> Condition:
    """True if an address is in use outside its owner's slice; as last reported while not all ports are known."""
    if conflicts.messages:
        return true(ConditionType.ADDRESS_CONFLICT, Reason.ADDRESS_OUTSIDE_SLICE, "; ".join(conflicts.messages))
    if conflicts.complete:
        return false(ConditionType.ADDRESS_CONFLICT, Reason.NO_CONFLICT)
    return condition_of(before, ConditionType.ADDRESS_CONFLICT) or unknown(
        ConditionType.ADDRESS_CONFLICT, Reason.PORTS_UNKNOWN, "not all ports of the peer have been read yet"
    )


def degraded(snapshot: Snapshot, failure: Problem | None) -> Condition:
    """True if the last reconciliation failed or left something alone, whether or not the network is ready all the same.

    A failure of OpenStack as a whole is a condition of the CloudPeers, and not again of every network.
    """
    if failure is None or failure == snapshot.openstack_problem:
        return false(ConditionType.DEGRADED, Reason.AS_EXPECTED)
    return true(ConditionType.DEGRADED, failure.reason, failure.message)


LEFT_ALONE = frozenset({Reason.DRIFT_CONTESTED, Reason.PROJECT_NOT_USABLE})
"""Reasons of what is not as it should be and is left so, because others have decided otherwise: nothing failed."""
_NEEDS_OPENSTACK = frozenset(
    {Reason.PREPARING_OFFER, Reason.CREATING_REPLICA, Reason.ATTACHING, Reason.SETTING_MTU, Reason.REPLICA_FAILED}
)
_NEUTRAL = "the publishing cloud has a problem of its own; it tries again"


def explained(progress: Problem | None, trouble: Problem | None) -> Problem | None:
    """What a network that is not ready lacks: why its reconciliation failed, or `progress`.

    What is left as others made it explains only what waits for a change in OpenStack: the rest goes on.
    """
    if progress is None or trouble is None:
        return progress
    is_explained = trouble.reason not in LEFT_ALONE or progress.reason in _NEEDS_OPENSTACK
    return trouble if is_explained else progress


def without_local_details(progress: Problem | None, failure: Problem | None) -> Problem | None:
    """The progress that a peer may read: after a local failure its reason, but not its message."""
    found = explained(progress, failure)
    return Problem(found.reason, _NEUTRAL) if found is not None and found is failure else found


def with_conditions(
    attachment: Attachment | None, conditions: tuple[Condition, ...], now: datetime
) -> Attachment | None:
    """The Attachment with these conditions; its entries of the agents are kept."""
    if attachment is None:
        return None
    old, generation = attachment.status.conditions, attachment.metadata.generation
    status = attachment.status.model_copy(
        update={
            "observed_generation": generation,
            "links_up": ratio(_is_up(attachment, path.cloud_id) for path in attachment.spec.links),
            "conditions": with_transition_times(old, conditions, generation, now),
        }
    )
    return attachment.model_copy(update={"status": status})


def _is_up(attachment: Attachment, cloud_id: str) -> bool:
    """Whether the active node reports the link to that peer as up."""
    active = (node for node in attachment.status.nodes if node.node == attachment.spec.active_node)
    return any(link.up for node in active for link in node.links if link.cloud_id == cloud_id)
