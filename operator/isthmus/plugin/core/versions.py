"""`kubectl isthmus version`: this plugin, the agents, and the protocol with each peer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .answer import Answer, ExitCode, Unread, gap_lines, with_findings
from .peers import agreed_version
from .resources import Agreement, Cloud
from .tables import Style, Value, table


def versions(client: str, api_version: str, cloud: Cloud | None, unread: Sequence[Unread] = ()) -> Answer:
    """Versions of everything that publishes its own; `cloud` is None if only the plugin is asked for."""
    document: dict[str, Any] = {"client": client, "definitions": api_version}
    if cloud is not None:
        document |= {
            "agents": [{"node": node.name, "version": node.isthmus} for node in cloud.nodes],
            "peers": [_protocol_document(agreement) for agreement in cloud.agreements],
        }

    def text(style: Style) -> list[str]:
        lines = [f"kubectl isthmus {client}, definitions {api_version}"]
        if cloud is not None and cloud.nodes:
            lines += table(("NODE", "AGENT"), [(node.name, node.isthmus) for node in cloud.nodes], style)
        if cloud is not None and cloud.agreements:
            lines += table(("PEER", "PROTOCOL", "OURS", "THEIRS"), map(_row, cloud.agreements), style)
        return [*lines, *gap_lines(unread)]

    return with_findings(Answer("version", ExitCode.FINE, document, text), (), unread)


def _row(agreement: Agreement) -> tuple[Value, ...]:
    return (
        agreement.peer_cloud_id,
        agreed_version(agreement),
        _listed(agreement.local_versions),
        _listed(agreement.remote_versions) or "-",
    )


def _listed(versions: Sequence[int]) -> str:
    return ", ".join(map(str, versions))


def _protocol_document(agreement: Agreement) -> dict[str, Any]:
    return {
        "cloudID": agreement.peer_cloud_id,
        "agreed": agreed_version(agreement),
        "ours": list(agreement.local_versions),
        "theirs": list(agreement.remote_versions),
    }
