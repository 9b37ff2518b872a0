"""Networks that peers offer to this cloud, and what its administrators have decided about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from isthmus.model.names import API_VERSION
from isthmus.model.reasons import Reason

from .documents import Document, entries, text
from .named import shown
from .refusals import Misused

KINDS: Final = ("expansionlinks", "expansionapprovals")


@dataclass(frozen=True)
class Offered:
    """A network that a peer offers, by our ExpansionLink that answers it, and the ExpansionApproval if there is one."""

    name: str
    """Name of the ExpansionLink."""
    namespace: str
    cloud_id: str
    """Of the peer."""
    network_id: str
    network_name: str
    project_name: str
    subnets: tuple[str, ...]
    verdict: str
    reason: str
    decision: str
    """Accept or Refuse; empty if there is no ExpansionApproval."""
    message: str
    """Of the ExpansionApproval, for the tenant at the origin."""

    @property
    def label(self) -> str:
        """The network in a sentence."""
        return f"network {self.network_name or self.network_id} of {self.cloud_id}"

    @property
    def is_accepted(self) -> bool:
        """Whether the network is stretched, or about to be."""
        return self.verdict == "Accepted"

    @property
    def is_awaiting(self) -> bool:
        """Whether nobody has decided about the network, although somebody must."""
        return self.reason == Reason.AWAITING_APPROVAL and not self.decision

    def is_called(self, name: str) -> bool:
        """Whether that is the name or ID of the network, or the name of its ExpansionLink."""
        return name != "" and name in (self.name, self.network_id, self.network_name)

    def to_document(self) -> dict[str, Any]:
        """The network in JSON."""
        return {
            "name": self.name,
            "namespace": self.namespace,
            "peerCloudID": self.cloud_id,
            "networkID": self.network_id,
            "networkName": self.network_name,
            "projectName": self.project_name,
            "subnets": list(self.subnets),
            "verdict": self.verdict,
            "reason": self.reason,
        }


def offered(items: Iterable[Document]) -> tuple[Offered, ...]:
    """All networks that peers offer, of the ExpansionLinks and ExpansionApprovals that kubectl printed."""
    found = list(items)
    approvals = {_key(item): item for item in found if text(item, "kind") == "ExpansionApproval"}
    links = (item for item in found if text(item, "kind") == "ExpansionLink" and _is_answer(item))
    return tuple(_offered(item, approvals.get(_key(item), {})) for item in sorted(links, key=_key))


def named(offers: Sequence[Offered], wanted: Sequence[str]) -> tuple[Offered, ...]:
    """The networks of these names, each once. Raises Misused for a name that is nobody's, or of several."""
    return tuple(dict.fromkeys(_named(offers, name) for name in wanted))


def manifest(network: Offered, decision: str, message: str) -> dict[str, Any]:
    """The ExpansionApproval."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ExpansionApproval",
        "metadata": {"name": network.name, "namespace": network.namespace},
        "spec": {"decision": decision, "message": message},
    }


def _named(offers: Sequence[Offered], name: str) -> Offered:
    found = [network for network in offers if network.is_called(name)]
    if not found:
        raise Misused(
            f"no peer offers a network {shown(name)}: kubectl isthmus approve, without a name, lists what awaits a "
            "decision"
        )
    if len(found) > 1:
        names = ", ".join(network.name for network in found)
        raise Misused(f"several networks are called {shown(name)}; name one of these instead: {names}")
    return found[0]


def _is_answer(link: Document) -> bool:
    """Whether the link is about a network of the peer that is still offered."""
    return text(link, "spec", "state") != "Withdrawn" and text(link, "spec", "answer", "verdict") in (
        "Accepted",
        "Refused",
    )


def _key(item: Document) -> tuple[str, str]:
    return text(item, "metadata", "namespace"), text(item, "metadata", "name")


def _offered(link: Document, approval: Document) -> Offered:
    offer = ("status", "peer", "spec", "offer")
    namespace, name = _key(link)
    return Offered(
        name=name,
        namespace=namespace,
        cloud_id=text(link, "spec", "peerCloudID"),
        network_id=text(link, "spec", "origin", "networkID"),
        network_name=text(link, *offer, "networkName"),
        project_name=text(link, *offer, "project", "name"),
        subnets=tuple(text(subnet, "cidr") for subnet in entries(link, *offer, "subnets")),
        verdict=text(link, "spec", "answer", "verdict"),
        reason=text(link, "spec", "answer", "reason"),
        decision=text(approval, "spec", "decision"),
        message=text(approval, "spec", "message"),
    )
