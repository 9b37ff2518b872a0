"""What of a snapshot goes to /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.objects import Conditions, condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.telemetry.metrics import LINKS, PEER_LAST_READ, PEERS, Metrics


def show(snapshot: Snapshot, metrics: Metrics) -> None:
    """Links and peers by state, and since when nothing was read of a peer that cannot be read."""
    metrics.show(LINKS, _by_state(link.status.conditions for link in snapshot.all(ExpansionLink)))
    metrics.show(PEERS, _by_state(peer.status.conditions for peer in snapshot.all(CloudPeer)))
    read = {(cloud_id,): snapshot.now.timestamp() for cloud_id, view in snapshot.views.items() if view.complete}
    unread = {labels: at for labels, at in metrics.shown(PEER_LAST_READ).items() if labels[0] in snapshot.credentials}
    metrics.show(PEER_LAST_READ, unread | read)


def _by_state(held: Iterable[Conditions]) -> dict[tuple[str, ...], float]:
    """The state is the reason of Ready, which is `Ready` where it is true."""
    ready = (condition_of(conditions, "Ready") for conditions in held)
    return {(state,): float(count) for state, count in Counter(c.reason if c else "New" for c in ready).items()}
