"""What the receiver tells the origin of other members of the network."""

from __future__ import annotations

from isthmus.core.federation.peer import has_feature
from isthmus.core.network.attachment import late_nodes
from isthmus.core.snapshot.index import is_accepted
from isthmus.model.protocol import Feature

from .forwarding import wanted_attachment
from .state import Receiver


def installed_generation(receiver: Receiver) -> int | None:
    """The generation of the origin's offer by which all our gateway nodes work; the last one while they change."""
    if receiver.remote_link is None or not has_feature(receiver.snapshot, receiver.cloud_id, Feature.MEMBERS):
        return None
    attachment, wanted = receiver.attachment, wanted_attachment(receiver)
    if attachment is not None and attachment.spec == wanted and not late_nodes(receiver.snapshot, attachment):
        return receiver.remote_link.generation
    before = receiver.link.spec.answer if receiver.link is not None and is_accepted(receiver.link) else None
    return before.installed_generation if before is not None and before.uid == receiver.remote_link.uid else None


def reachable(receiver: Receiver) -> tuple[int, ...]:
    """Numbers of the members that dataplane probes of the active gateway node reach."""
    if receiver.attachment is None:
        return ()
    active = receiver.attachment.spec.active_node
    observed = [entry for entry in receiver.attachment.status.nodes if entry.node == active]
    spec = receiver.attachment.spec
    wanted = {path.number for link in spec.links for path in link.members}
    wanted |= {path.number for path in spec.direct_paths}
    return tuple(sorted(wanted & {member.number for entry in observed for member in entry.members if member.up}))
