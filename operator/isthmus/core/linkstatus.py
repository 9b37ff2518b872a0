"""How far one link is, and what our half's status says of it: a peer reads that, so it names nothing local."""

from __future__ import annotations

from isthmus.model.actions import Problem
from isthmus.model.attachment import Attachment
from isthmus.model.cloudfacts import NetworkFacts
from isthmus.model.expansionlink import ANSWER_REASONS, ExpansionLink, ExpansionLinkStatus
from isthmus.model.objects import Condition, condition_of

from .conditions import carried_over, false, judged, true, unknown
from .halves import PEER_SEEN, Standing, is_accepted
from .origin import Origin
from .peer import UNREAD, view_of
from .placement import Gateway
from .receiver import Receiver
from .snapshot import Snapshot


def origin_progress(origin: Origin, cloud_id: str) -> Problem | None:
    """What a network of ours waits for towards one peer; None where it is ready."""
    link, standing, answer = origin.links[cloud_id], origin.standing(cloud_id), origin.answer(cloud_id)
    if link.spec.state == "Withdrawn":
        return Problem("Withdrawn", "withdrawn; waits until the peer has let go")
    if standing.problem is not None:
        return standing.problem
    half = origin.half(cloud_id)
    if half is None or answer is None:
        return Problem("WaitingForPeer", "the peer has not answered yet")
    if half.spec.state == "Withdrawn":
        return Problem("PeerWithdrawn", "the peer has ended the agreement")
    if answer.reason != "Accepted" or answer.verdict != "Accepted":
        # A reason is a label of metrics and means something to our people: another cloud does not invent one.
        return Problem(answer.reason if answer.reason in ANSWER_REASONS else "Refused", answer.message)
    if origin.way(cloud_id) is None:
        return Problem("PeerHasNoGateway", "the peer names no gateway for this network that its PeerLink has")
    return joined_progress(origin.attachment, origin.facts, origin.gateway, cloud_id)


def receiver_progress(receiver: Receiver) -> Problem | None:
    """What a network of a peer's waits for; None where it is ready."""
    standing = receiver.standing
    if receiver.ended:
        return Problem("Withdrawn", "the agreement has ended")
    if receiver.intent == "Leave":
        return Problem("Withdrawn", "the origin has withdrawn the network")
    if standing.problem is not None:
        return standing.problem
    if receiver.intent == "Refuse":
        return receiver.refusal
    if not is_accepted(receiver.link):
        return Problem("Copying", "the copy of the network is being made")
    if receiver.way() is None:
        return Problem("PeerHasNoGateway", "the peer names no gateway for this network that its PeerLink has")
    return joined_progress(receiver.attachment, receiver.facts, receiver.gateway, receiver.cloud_id)


def joined_progress(
    attachment: Attachment | None, facts: NetworkFacts | None, gateway: Gateway | None, cloud_id: str
) -> Problem | None:
    """What is missing once both halves accept: the port, the MTU, the plug, the echo."""
    if gateway is None or attachment is None:
        return Problem("NoGatewayNode", "no gateway node is ready")
    spec = attachment.spec
    if spec.active_node is None or cloud_id not in {way.cloud_id for way in spec.links}:
        return Problem("Attaching", "the network is being joined to the gateway node")
    if facts is not None and facts.network is not None and facts.network.mtu != spec.mtu:
        return Problem("SettingMTU", f"the MTU of the network is not yet {spec.mtu}")
    seen = next((node for node in attachment.status.nodes if node.node == spec.active_node), None)
    if seen is None or not seen.plugged:
        return Problem("NotPlugged", "the gateway node has not plugged the network yet")
    link = next((link for link in seen.links if link.cloud_id == cloud_id), None)
    if link is None:
        return Problem("NotProbed", "the gateway node has not probed the link yet")
    return None if link.up else Problem(link.reason, link.message or "no echo comes back through the tunnel")


def link_status(
    snapshot: Snapshot, link: ExpansionLink, standing: Standing, mtu: int | None, progress: Problem | None
) -> ExpansionLinkStatus:
    """Status of our half."""
    conditions = (judged("Ready", progress), _peer_seen(snapshot, link, standing))
    return ExpansionLinkStatus(
        peer=standing.half,
        mtu=mtu,
        conditions=carried_over(link.status.conditions, conditions, link.metadata.generation, snapshot.now),
    )


def _peer_seen(snapshot: Snapshot, link: ExpansionLink, standing: Standing) -> Condition:
    if standing.presence == "Present":
        return true(PEER_SEEN, "Present")
    if standing.presence == "Absent":
        return false(PEER_SEEN, "Absent", "a complete list of the peer's halves does not hold it")
    view, said = view_of(snapshot, link.spec.peer_cloud_id), condition_of(link.status.conditions, PEER_SEEN)
    # An absence is not carried over: nobody looked in between, and its grace time begins anew.
    if view.reason == UNREAD.reason and said is not None and said.status == "True":
        return said
    return unknown(PEER_SEEN, "Unknown" if view.reachable else view.reason)
