"""What is wrong with the resources of a cloud, by their conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from isthmus.model.names import SYSTEM_NAMESPACE
from isthmus.model.reasons import ConditionType

from .reported import explanation
from .resources import Attachment, Cloud, Expansion, Resource, StatusCondition

WRONG_STATUS: Final[Mapping[str, str]] = MappingProxyType(
    {
        ConditionType.REACHABLE: "False",
        ConditionType.AGREED: "False",
        ConditionType.TUNNEL_UP: "False",
        ConditionType.OPENSTACK_AVAILABLE: "False",
        ConditionType.UNDERSTOOD: "False",
        ConditionType.CREDENTIAL_EXPIRING: "True",
        ConditionType.CREDENTIALS_HANDED_OVER: "False",
        ConditionType.DEGRADED: "True",
        ConditionType.SUBNETS_STRETCHED: "False",
        ConditionType.MEMBERS_CONNECTED: "False",
        ConditionType.ADDRESS_CONFLICT: "True",
        ConditionType.ADDRESSES_LOW: "True",
        ConditionType.DISTRIBUTED_ROUTER: "True",
        ConditionType.QOS_POLICY: "True",
        ConditionType.GATEWAY_IGNORED: "True",
        ConditionType.SHARED_ADDRESSES_IGNORED: "True",
        ConditionType.REMOTE_PORTS_INCOMPLETE: "True",
        ConditionType.GROUPS_IGNORED: "True",
        ConditionType.GROUPS_INCOMPLETE: "True",
        ConditionType.REPLICA_IN_USE: "True",
        ConditionType.PEERS_CONFIGURED: "False",
        ConditionType.FENCED: "False",
        ConditionType.CERTIFICATE_EXPIRING: "True",
    }
)
"""The status with which a condition reports trouble, beside Ready, which is to be True."""

NO_TROUBLE: Final = frozenset({ConditionType.HYBRID_KEY_EXCHANGE, ConditionType.DRAINED, ConditionType.PEER_DRAINING})
"""Conditions that inform only, whatever their status is."""

_NOT_REPORTED: Final = "It has no condition Ready: nobody has reported on it yet."
_OF_PEER: Final = "status.peers"
_LEASES: Final = f"kubectl get leases -n {SYSTEM_NAMESPACE}"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    kind: str
    namespace: str
    name: str
    condition: str
    reason: str
    """One of docs/conditions.md, or of another release; empty if nothing was reported."""
    message: str
    next_command: str

    @property
    def label(self) -> str:
        """Name with the namespace if there is one."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name

    @property
    def category(self) -> str:
        """What to do about it; empty for a reason that this release does not know."""
        found = explanation(self.reason)
        return str(found.category) if found else ""

    @property
    def remedy(self) -> str:
        """What to do, if that is known."""
        found = explanation(self.reason)
        return found.remedy if found else ""

    def to_document(self) -> dict[str, Any]:
        """The finding in JSON."""
        return {
            "kind": self.kind,
            "namespace": self.namespace,
            "name": self.name,
            "condition": self.condition,
            "reason": self.reason,
            "message": self.message,
            "category": self.category,
            "remedy": self.remedy,
            "next": self.next_command,
        }


def of_cloud(cloud: Cloud) -> tuple[Finding, ...]:
    """Everything that is wrong: gateway nodes first, then peers, then networks."""
    resources: tuple[Resource, ...] = (*cloud.nodes, *cloud.peers, *cloud.expansions, *shown_attachments(cloud))
    return of_resources(resources)


def of_resources(resources: Iterable[Resource]) -> tuple[Finding, ...]:
    """Everything that is wrong with these."""
    return tuple(finding for resource in resources for finding in _of_resource(resource))


def shown_attachments(cloud: Cloud) -> tuple[Attachment, ...]:
    """Attachments but for those whose NetworkExpansion reports the same network already."""
    reported = {expansion.network_id for expansion in cloud.expansions if not expansion.is_ready}
    return tuple(a for a in cloud.attachments if a.is_replica or a.network_id not in reported)


def _of_resource(resource: Resource) -> Iterator[Finding]:
    if not resource.is_ready:
        yield _finding(resource, resource.ready)
    found = {resource.ready.reason}
    for condition in (*resource.conditions, *_of_peers(resource)):
        wrong = WRONG_STATUS.get(condition.type)
        if (condition.status == wrong or condition.type == _OF_PEER) and condition.reason not in found:
            found.add(condition.reason)
            yield _finding(resource, condition)


def _of_peers(resource: Resource) -> Iterator[StatusCondition]:
    """Condition Ready of a NetworkExpansion is that of the first peer that is not ready; these are the others'."""
    if isinstance(resource, Expansion):
        for peer in resource.peers:
            if not peer.is_ready:
                yield StatusCondition(_OF_PEER, "False", peer.reason, f"{peer.name}: {peer.message}")


def _finding(resource: Resource, condition: StatusCondition) -> Finding:
    if not condition.reason:
        return Finding(resource.kind, resource.namespace, resource.name, condition.type, "", _NOT_REPORTED, _LEASES)
    known = explanation(condition.reason)
    command = f"kubectl isthmus explain {condition.reason}" if known else "kubectl isthmus version"
    message = condition.message or (known.meaning if known else "")
    return Finding(resource.kind, resource.namespace, resource.name, condition.type, condition.reason, message, command)
