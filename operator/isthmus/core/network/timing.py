"""When the passing of time alone changes the plan of a network."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from isthmus.core.federation.drain import changes_in_seconds as deadline_in_seconds
from isthmus.core.network.attachment import awaits_port
from isthmus.core.placement.gateways import gateways, seconds_to_return
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.objects import condition_of
from isthmus.model.facts.openstack import NetworkFacts
from isthmus.model.reasons import ConditionType

from .remote_link import absent_from, origin_of

_FIRST_LOOK_SECONDS: Final = 2.0


def looks_again_in_seconds(snapshot: Snapshot, link_name: str, facts: NetworkFacts | None) -> float | None:
    """Seconds until Neutron is asked again whether a port has come up; None unless one is awaited.

    It grows with the time for which the network has not been ready: a whole node that is down is seldom asked about.
    """
    attachment = snapshot.attachment(link_name)
    if attachment is None or not awaits_port(attachment, facts):
        return None
    ready = condition_of(attachment.status.conditions, ConditionType.READY)
    since = ready.last_transition_time if ready is not None and ready.status == "False" else None
    waited_seconds = (snapshot.now - datetime.fromisoformat(since)).total_seconds() if since else 0.0
    return max(_FIRST_LOOK_SECONDS, waited_seconds / 2)


def changes_in_seconds(snapshot: Snapshot, link_name: str) -> float | None:
    """Seconds until a grace period ends, the network may return to its preferred gateway node, or an agreement that is
    drained ends; None if none of them."""
    own = snapshot.own
    absent = (snapshot.absent_seconds.get((cloud_id, link_name), 0.0) for cloud_id in absent_from(snapshot, link_name))
    moments = [own.absence_grace_seconds - seconds for seconds in absent if seconds < own.absence_grace_seconds]
    attachment = snapshot.attachment(link_name)
    if attachment is not None and attachment.spec.active_node is not None:
        found = seconds_to_return(
            gateways(snapshot), link_name, attachment.spec.active_node, own.gateway_return_seconds
        )
        moments += [found] if found is not None else []
    moments += [s for cloud_id in _clouds(snapshot, link_name) if (s := deadline_in_seconds(snapshot, cloud_id))]
    return min(moments, default=None)


def _clouds(snapshot: Snapshot, link_name: str) -> set[str]:
    """Cloud IDs of the origin and of the peers that have a link of ours about the network."""
    peers = {link.spec.peer_cloud_id for link in snapshot.links_of(link_name)}
    receivers = {link.spec.peer_cloud_id for link in snapshot.member_links_of(link_name)}
    return {origin_of(link_name)} | peers | receivers
