"""`kubectl isthmus networks`: stretched networks, replicas of peers' networks, and why they are not ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer, ExitCode, Unread, gap_lines, problem_lines, with_findings
from .findings import of_resources, shown_attachments
from .resources import Attachment, Cloud, Expansion
from .tables import Style, Value, table, yes

_EXPANSIONS = ("NAMESPACE", "NAME", "NETWORK", "READY", "PEERS", "MTU", "REASON")
_REPLICAS = ("FROM", "NETWORK", "NODE", "READY", "LINKS", "MTU", "REASON")


def networks(cloud: Cloud, namespace: str, unread: Sequence[Unread]) -> Answer:
    """All networks, or those of one namespace; replicas are in no tenant's namespace."""
    findings = of_resources((*cloud.expansions, *shown_attachments(cloud)))
    document = {
        "namespace": namespace,
        "networks": [_expansion_document(expansion) for expansion in cloud.expansions],
        "replicas": [_replica_document(replica) for replica in cloud.replicas],
    }

    def text(style: Style) -> list[str]:
        lines = _expansion_lines(cloud.expansions, namespace, style)
        if cloud.replicas:
            lines += ["", *table(_REPLICAS, map(_replica_row, cloud.replicas), style)]
        if findings:
            lines += ["", *problem_lines(findings, style)]
        return [*lines, *gap_lines(unread)]

    return with_findings(Answer("networks", ExitCode.FINE, document, text), findings, unread)


def _expansion_lines(expansions: Sequence[Expansion], namespace: str, style: Style) -> list[str]:
    if not expansions:
        return [f"no NetworkExpansion in namespace {namespace}" if namespace else "no NetworkExpansion"]
    return table(_EXPANSIONS, map(_expansion_row, expansions), style)


def _expansion_row(expansion: Expansion) -> list[Value]:
    return [
        expansion.namespace,
        expansion.name,
        expansion.network_name or expansion.network_id,
        yes(expansion.is_ready),
        expansion.peers_ready,
        expansion.mtu,
        "" if expansion.is_ready else expansion.ready.reason,
    ]


def _replica_row(replica: Attachment) -> list[Value]:
    return [
        replica.origin_cloud,
        replica.network_id,
        replica.active_node,
        yes(replica.is_ready),
        replica.links_up,
        replica.mtu,
        "" if replica.is_ready else replica.ready.reason,
    ]


def _expansion_document(expansion: Expansion) -> dict[str, Any]:
    return {
        "namespace": expansion.namespace,
        "name": expansion.name,
        "networkID": expansion.network_id,
        "networkName": expansion.network_name,
        "ready": expansion.is_ready,
        "reason": expansion.ready.reason,
        "message": expansion.ready.message,
        "mtu": expansion.mtu,
        "peers": [
            {"name": peer.name, "ready": peer.is_ready, "reason": peer.reason, "message": peer.message}
            for peer in expansion.peers
        ],
    }


def _replica_document(replica: Attachment) -> dict[str, Any]:
    return {
        "originCloudID": replica.origin_cloud,
        "networkID": replica.network_id,
        "activeNode": replica.active_node,
        "ready": replica.is_ready,
        "reason": replica.ready.reason,
        "message": replica.ready.message,
        "linksUp": replica.links_up,
        "mtu": replica.mtu,
    }
