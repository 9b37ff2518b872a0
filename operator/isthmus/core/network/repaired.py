"""Events about what somebody deleted of ours in Neutron: one each time that it has been made again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.model.actions import (
    Action,
    CreateAttachmentPort,
    CreateGatewayPort,
    CreateNetwork,
    CreateSubnet,
    RecordEvent,
)
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import AttachmentSpec
from isthmus.model.facts.openstack import NetworkFacts

_REASON = "Repaired"


def with_events(
    actions: Iterable[Action], spec: AttachmentSpec, facts: NetworkFacts | None, obj: CustomObject
) -> Iterator[Action]:
    """The actions, and after each that makes something again an Event about the object, which follows its success.

    `spec` is the Attachment's, which names what we had made.
    """
    for action in actions:
        yield action
        what = _made_again(action, spec, facts)
        if what is not None:
            yield RecordEvent(obj, "Normal", _REASON, f"{what} was deleted in Neutron, and has been made again")


def _made_again(action: Action, spec: AttachmentSpec, facts: NetworkFacts | None) -> str | None:
    """What it is, in words; None if it has not existed before."""
    record, ports = spec.record, {port.id for port in (facts.ports if facts else ())}
    match action:
        case CreateNetwork() if record.network_id is not None:
            return f"replica network {record.network_id}"
        case CreateSubnet() if any(entry.cidr == action.cidr for entry in record.subnets):
            is_of_new_network = action.network_id != record.network_id
            return None if is_of_new_network else f"subnet {action.cidr} of network {action.network_id}"
        case CreateGatewayPort(network_id, subnet_id, address):
            known = {entry.gateway_port_id for entry in record.subnets if entry.id == subnet_id} - {None}
            return f"the port that reserves {address} in network {network_id}" if known - ports else None
        case CreateAttachmentPort(network_id) if spec.ports:  # none are left in a move to another node
            return f"the attachment port of network {network_id}"
        case _:
            return None
