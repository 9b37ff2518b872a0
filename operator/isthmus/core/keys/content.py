"""What of an object concerns the controller. The rest may change at any time without making work."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.objects import Condition, Conditions, CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentStatus
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.reasons import ConditionType

_OWN_CONDITIONS = frozenset(ConditionType)


def relevant(obj: CustomObject | None) -> object:
    """The fields that plans and statuses depend on: not other controllers' annotations, finalizers and conditions."""
    return None if obj is None else (relevant_spec(obj), own_status(obj))


def relevant_spec(obj: CustomObject) -> object:
    """Those of them that are not in the status."""
    metadata = obj.metadata
    annotation = metadata.annotations.get(names.FORGET_ANNOTATION)
    identity = metadata.uid, metadata.deletion_timestamp, names.FINALIZER in metadata.finalizers, annotation
    return identity, getattr(obj, "spec", None)


def own_status(obj: CustomObject) -> object:
    """The status without conditions of types that are not ours, in an order that does not matter."""
    match obj:
        case CloudPeer() | NetworkExpansion() | PeerLink() | ExpansionLink() | Attachment() | GatewayNode():
            status = obj.status
            return status.model_copy(update={"conditions": own_conditions(status.conditions)})
        case ExpansionApproval(status=found):
            return found.model_copy(update={"conditions": own_conditions(found.conditions)})
        case _:
            return None


def written_status(obj: CustomObject) -> object:
    """The part of the status that the controller writes: an Attachment's `nodes` belong to the agents."""
    status = own_status(obj)
    return status.model_copy(update={"nodes": ()}) if isinstance(status, AttachmentStatus) else status


def own_conditions(conditions: Conditions) -> Conditions:
    """The conditions of our types, ordered by type."""
    return tuple(sorted((c for c in conditions if c.type in _OWN_CONDITIONS), key=_type))


def _type(condition: Condition) -> str:
    return condition.type
