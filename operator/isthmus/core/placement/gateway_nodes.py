"""One GatewayNode for each Kubernetes node that is labelled as a gateway."""

from __future__ import annotations

from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import ApplyObject, DeleteObject, Plan
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode


def plan_gateway_nodes(snapshot: Snapshot) -> Plan:
    """Create missing GatewayNodes; delete those whose Node is deleted or not labelled as a gateway any more."""
    existing = {node.metadata.name: node for node in snapshot.all(GatewayNode)}
    missing = sorted(snapshot.gateway_nodes - set(existing))
    missing_nodes = (ApplyObject(GatewayNode(metadata=ObjectMeta(name=name))) for name in missing)
    deleted = (DeleteObject(node) for name, node in existing.items() if name not in snapshot.gateway_nodes)
    return Plan((*missing_nodes, *deleted))
