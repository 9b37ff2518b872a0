"""When the passing of time alone changes the plan of a network."""

from __future__ import annotations

from isthmus.core.placement.gateways import gateways, seconds_to_return
from isthmus.core.snapshot.index import Snapshot

from .remote_link import absent_from


def changes_in_seconds(snapshot: Snapshot, link_name: str) -> float | None:
    """Seconds until a grace period ends or the network may return to its preferred gateway node; None if neither."""
    own = snapshot.own
    absent = (snapshot.absent_seconds.get((cloud_id, link_name), 0.0) for cloud_id in absent_from(snapshot, link_name))
    moments = [own.absence_grace_seconds - seconds for seconds in absent if seconds < own.absence_grace_seconds]
    attachment = snapshot.attachment(link_name)
    if attachment is not None and attachment.spec.active_node is not None:
        found = seconds_to_return(
            gateways(snapshot), link_name, attachment.spec.active_node, own.gateway_return_seconds
        )
        moments += [found] if found is not None else []
    return min(moments, default=None)
