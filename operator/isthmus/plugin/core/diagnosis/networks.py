"""Layers echo, port and agreement of single networks, by Attachments and NetworkExpansions."""

from __future__ import annotations

from collections.abc import Iterator

from ..reported import is_progress
from ..resources import Attachment, Link
from . import drops
from .catalogue import ROWS, Code
from .installation import has_controller, hidden_layers
from .layers import Layer
from .subject import Subject
from .tunnel import blocking_layer
from .verdicts import Blocked, Fault, Fine, Undecided, Unread, Verdict


def echo(subject: Subject) -> Iterator[Verdict]:
    """Dataplane probes of every link to the peer."""
    if (cause := subject.readings.unread.get("attachments")) is not None:
        yield Unread(cause)
    hidden = _hidden(subject)
    links = subject.links
    up = sum(link.is_up is True for _, link in links)
    for attachment, link in links:
        if Layer.ECHO in hidden.get(attachment.active_node, ()):
            yield Blocked(Layer.INSTALLATION)
        elif link.is_up:
            yield Fine(f"{up} of {len(links)} links answer")
            yield from map(Fine, drops.evidence(attachment, subject.cloud_id))
        else:
            yield _link(subject, attachment, link)


def _hidden(subject: Subject) -> dict[str, frozenset[Layer]]:
    return {node.name: hidden_layers(node, subject.readings) for node in subject.readings.cloud.nodes}


def _link(subject: Subject, attachment: Attachment, link: Link) -> Verdict:
    if not attachment.active_node:
        return Blocked(Layer.INSTALLATION)
    if (layer := blocking_layer(subject, attachment.active_node, link.gateway)) is not None:
        return Blocked(layer)
    if link.is_up is None or is_progress(link.reason):
        return Undecided(f"network {attachment.network_id}: no probe has been answered yet")
    return Fault(link.reason, Layer.ECHO, f"network {attachment.network_id}: {link.message}")


def port(subject: Subject) -> Iterator[Verdict]:
    """Neutron's part: OpenStack itself, the networks, and their ports on the gateway nodes."""
    yield from _openstack(subject)
    yield from of_networks(subject, Layer.PORT)
    hidden = _hidden(subject)
    plugged = sum(attachment.is_plugged is True for attachment in subject.attachments)
    for attachment in subject.attachments:
        if Layer.ECHO in hidden.get(attachment.active_node, ()):
            yield Blocked(Layer.INSTALLATION)
        elif attachment.is_plugged:
            yield Fine(f"{plugged} of {len(subject.attachments)} ports are plugged")
        elif attachment.is_plugged is False and not attachment.is_ready and not attachment.is_terminating:
            yield Fault(Code.NOT_PLUGGED, Layer.PORT, f"network {attachment.network_id} on {attachment.active_node}")


def _openstack(subject: Subject) -> Iterator[Verdict]:
    if subject.peer is None or not has_controller(subject.readings):
        return
    found = subject.peer.condition("OpenStackAvailable")
    if found is not None and found.status == "False":
        yield Fault(Code.OPENSTACK_UNAVAILABLE, Layer.PORT, found.message)


def of_networks(subject: Subject, layer: Layer) -> Iterator[Verdict]:
    """What the controller reports of each network, as far as it belongs to this layer."""
    if not has_controller(subject.readings):
        yield Blocked(Layer.INSTALLATION)
        return
    if layer is Layer.PORT:
        unread = subject.readings.unread
        yield from (Unread(unread[plural]) for plural in ("attachments", "networkexpansions") if plural in unread)
    for name, is_ready, reason, message in _reported(subject):
        if is_ready:
            yield Fine("")
        elif reason in ROWS and ROWS[reason].layer is layer:
            yield Fault(reason, layer, f"network {name}: {message}")
        elif layer is Layer.PORT and (is_progress(reason) or not reason):
            yield Undecided(f"network {name}: {message or reason or 'nothing has been reported of it yet'}")


def not_ready(subject: Subject) -> Iterator[str]:
    """What is known of every network that is not ready."""
    for name, is_ready, reason, message in _reported(subject):
        if not is_ready:
            yield f"network {name} is not ready: {reason}: {message}"


def _reported(subject: Subject) -> Iterator[tuple[str, bool, str, str]]:
    """Label, readiness, reason and message of each network: our own by its request, a peer's by its replica."""
    for expansion in subject.expansions:
        found = next((peer for peer in expansion.peers if peer.name == subject.peer_name), None)
        if found is None:  # the controller has not seen the request yet
            yield expansion.label, False, "", ""
        else:
            yield expansion.label, found.is_ready, found.reason, found.message
    for attachment in subject.attachments:
        if attachment.is_replica:
            yield attachment.network_id, attachment.is_ready, attachment.ready.reason, attachment.ready.message
