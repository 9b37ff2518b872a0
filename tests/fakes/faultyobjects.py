"""A healthy cloud's objects with one fault each, for every code that `diagnose` knows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from isthmus.model import names
from isthmus.model.reasons import Reason
from isthmus.plugin.core import leases, resources
from isthmus.plugin.core.answer import Answer, Unread
from isthmus.plugin.core.diagnosis import diagnose
from isthmus.plugin.core.diagnosis.catalogue import Code
from isthmus.plugin.core.diagnosis.subject import Readings
from isthmus.plugin.core.tables import Style
from tests.fakes.kubectl import documents, lease, stretched

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
RENEWED = "2026-01-01T11:59:58Z"
NODE, PEER = "gw-cloud-a", "cloud-b"
PATH = {"ike": True, "esp": True, "peerReceives": True, "mtu": 1416, "fullSize": True}
PROCESSES = (names.CONTROLLER, names.agent_lease(NODE))
KINDS = ("gatewaynodes", "cloudpeers", "peerlinks", "networkexpansions", "attachments")
Items = list[dict[str, Any]]


def healthy() -> Items:
    """Cloud A, with a network stretched to cloud B."""
    items = documents(stretched().clouds[0])
    of_kind(items, "GatewayNode")["status"]["connections"][0]["path"] = PATH
    return items


def of_kind(items: Items, kind: str) -> dict[str, Any]:
    return next(item for item in items if item["kind"] == kind)


def diagnosis(
    items: Items,
    name: str | None = PEER,
    processes: tuple[str, ...] = PROCESSES,
    unread: dict[str, str] | None = None,
) -> Answer:
    found = leases.leases([lease(process, RENEWED) for process in processes], NOW)
    cloud = resources.cloud(items)
    gaps = unread or {}
    readings = Readings(cloud, None if "leases" in gaps else found, gaps)
    return diagnose(readings, name, [Unread(*gap) for gap in gaps.items()])


def faults(answer: Answer) -> list[str]:
    """Codes of all faults that are named."""
    return [fault["code"] for subject in answer.to_document()["subjects"] for fault in subject["faults"]]


def states(answer: Answer) -> dict[str, str]:
    """State of each layer of the only subject."""
    (subject,) = answer.to_document()["subjects"]
    return {layer["layer"]: layer["state"] for layer in subject["layers"]}


def first_line(answer: Answer) -> str:
    return answer.text(Style())[0]


def condition(item: dict[str, Any], type_: str, status: str, reason: str, message: str = "why") -> None:
    conditions = item["status"]["conditions"]
    conditions[:] = [each for each in conditions if each["type"] != type_]
    conditions.append({"type": type_, "status": status, "reason": reason, "message": message})


def connection(items: Items, reason: str, path: dict[str, Any] | None = None, **layers: str) -> None:
    """The only connection is down."""
    entry = of_kind(items, "GatewayNode")["status"]["connections"][0]
    entry |= {"up": False, "reason": reason, "message": f"message of {reason}", **layers}
    entry["path"] = PATH | {"fullSize": None} if path is None else path
    link(items, "ProbeUnanswered")


def link(items: Items, reason: str) -> None:
    observed = of_kind(items, "Attachment")["status"]["nodes"][0]["links"][0]
    observed |= {"up": False, "reason": reason, "message": f"message of {reason}"}
    request(items, reason)


def request(items: Items, reason: str) -> None:
    entry = of_kind(items, "NetworkExpansion")["status"]["peers"][0]
    entry |= {"ready": False, "reason": reason, "message": f"message of {reason}"}
    condition(of_kind(items, "Attachment"), "Ready", "False", reason)


def peer(items: Items, type_: str, status: str, reason: str, message: str = "why") -> None:
    condition(of_kind(items, "CloudPeer"), type_, status, reason, message)


def node(items: Items, type_: str, status: str, reason: str, message: str = "why") -> None:
    condition(of_kind(items, "GatewayNode"), type_, status, reason, message)


def without_gateway(items: Items) -> None:
    of_kind(items, "GatewayNode")["status"]["connections"] = []
    of_kind(items, "CloudPeer")["status"]["gateways"] = []
    link(items, Reason.NO_TUNNEL)


IKE_DOWN = {"ike": "Connecting", "esp": "Missing", "bfd": "Down"}
CHANGES: dict[str, Callable[[Items], None]] = {
    Reason.NO_GATEWAY_NODE: lambda items: items.remove(of_kind(items, "GatewayNode")),
    Reason.NO_TUNNEL_ADDRESS: lambda items: node(items, "Ready", "False", Reason.NO_TUNNEL_ADDRESS),
    Reason.CHARON_UNAVAILABLE: lambda items: node(items, "Degraded", "True", Reason.CHARON_UNAVAILABLE),
    Reason.MISSING_CAPABILITY: lambda items: node(items, "Degraded", "True", Reason.MISSING_CAPABILITY),
    Code.GATEWAY_NODE_UNAVAILABLE: lambda items: node(items, "Degraded", "True", Reason.UNAVAILABLE, "Open vSwitch"),
    Code.PEER_CERTIFICATE_NOT_TRUSTED: lambda items: peer(
        items, "Reachable", "False", Reason.PEER_UNREACHABLE, "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"
    ),
    Reason.CREDENTIAL_EXPIRED: lambda items: peer(items, "CredentialExpiring", "True", Reason.CREDENTIAL_EXPIRED),
    Reason.CREDENTIAL_EXPIRING: lambda items: peer(items, "CredentialExpiring", "True", Reason.CREDENTIAL_EXPIRING),
    Reason.PARTLY_UNDERSTOOD: lambda items: peer(items, "Understood", "False", Reason.PARTLY_UNDERSTOOD),
    Reason.PEER_HAS_NO_GATEWAY: without_gateway,
    Code.PEER_GATEWAY_UNREACHABLE: lambda items: connection(
        items, Reason.IKE_NOT_ESTABLISHED, {"ike": False, "ping": False}, **IKE_DOWN
    ),
    Reason.KEY_NOT_FOUND: lambda items: connection(items, Reason.KEY_NOT_FOUND, {}, **IKE_DOWN),
    Reason.INVALID_KEY: lambda items: connection(items, Reason.INVALID_KEY, {}, **IKE_DOWN),
    Reason.ENCAPSULATION_NEEDS_IPV4: lambda items: connection(items, Reason.ENCAPSULATION_NEEDS_IPV4, {}, **IKE_DOWN),
    **{
        reason: lambda items, reason=reason: connection(items, reason, {}, **IKE_DOWN)  # type: ignore[misc]
        for reason in (
            Reason.ADDRESS_FAMILIES_DIFFER,
            Reason.INNER_ENDS_COLLIDE,
            Reason.NOBODY_REACHABLE,
            Reason.TRANSPORT_THROUGH_NAT,
            Reason.CERTIFICATE_NOT_FOUND,
            Reason.INVALID_CERTIFICATE,
            Reason.CERTIFICATE_KEY_DIFFERS,
            Reason.CERTIFICATE_CHAIN_TOO_LONG,
            Reason.CERTIFICATE_REVOKED,
            Reason.HYBRID_NOT_SUPPORTED,
        )
    },
    Reason.AUTHENTICATION_FAILED: lambda items: connection(items, Reason.AUTHENTICATION_FAILED, {}, **IKE_DOWN),
    Code.IKE_NOT_RECEIVED: lambda items: connection(
        items, Reason.IKE_NOT_ESTABLISHED, {"ike": False, "ping": True}, **IKE_DOWN
    ),
    Code.IKE_NOT_COMPLETED: lambda items: connection(items, Reason.IKE_NOT_ESTABLISHED, {"ike": True}, **IKE_DOWN),
    Reason.SAS_MISSING_IN_KERNEL: lambda items: connection(items, Reason.SAS_MISSING_IN_KERNEL, bfd="Down"),
    Reason.SELECTORS_NARROWED: lambda items: connection(items, Reason.SELECTORS_NARROWED, esp="Missing", bfd="Down"),
    Reason.ESP_NOT_INSTALLED: lambda items: connection(items, Reason.ESP_NOT_INSTALLED, esp="Missing", bfd="Down"),
    Code.ESP_NOT_RECEIVED: lambda items: connection(items, Reason.BFD_DOWN, {"ike": True, "esp": False}, bfd="Down"),
    Code.ESP_NOT_RECEIVED_BY_PEER: lambda items: connection(
        items, Reason.BFD_DOWN, {"ike": True, "esp": True, "peerReceives": False}, bfd="Down"
    ),
    Reason.TUNNEL_PORT_IN_USE: lambda items: connection(items, Reason.TUNNEL_PORT_IN_USE, bfd="Down"),
    Reason.TUNNEL_PORT_FAILED: lambda items: connection(items, Reason.TUNNEL_PORT_FAILED, bfd="Unknown"),
    Reason.NO_TUNNEL: lambda items: connection(items, Reason.NO_TUNNEL, bfd="Unknown"),
    Reason.BFD_DOWN: lambda items: connection(items, Reason.BFD_DOWN, {"ike": True, "esp": True}, bfd="Down"),
    Reason.PROBE_UNANSWERED: lambda items: link(items, Reason.PROBE_UNANSWERED),
    Reason.FLOWS_REJECTED: lambda items: link(items, Reason.FLOWS_REJECTED),
    Code.OPENSTACK_UNAVAILABLE: lambda items: peer(items, "OpenStackAvailable", "False", Reason.UNAVAILABLE),
    Code.LONG_FRAMES_LOST: lambda items: of_kind(items, "GatewayNode")["status"]["connections"][0]["path"].update(
        fullSize=False
    ),
}
OF_REACHABLE = {
    Reason.PEER_UNREACHABLE, Reason.PEER_NOT_PUBLISHING, Reason.INVALID_ANSWER, Reason.KUBECONFIG_NOT_FOUND,
    Reason.INVALID_KUBECONFIG, Reason.PEER_FORBIDDEN,
}  # fmt: skip
OF_HANDOVER = {Reason.NOT_HANDED_OVER, Reason.HANDOVER_EXPIRED, Reason.ACCOUNT_RECREATED}
OF_PEER = {
    Reason.OWN_CLOUD_ID, Reason.DUPLICATE_CLOUD_ID, Reason.GATEWAY_CIDRS_OVERLAP, Reason.NAMESPACE_NOT_MANAGED,
    Reason.NAMESPACE_TERMINATING, Reason.POLICY_NOT_FOUND, Reason.WEAK_PROPOSAL, Reason.LIFETIMES_CROSS,
    Reason.NOT_UNDERSTOOD,
}  # fmt: skip
OF_AGREED = {
    Reason.WAITING_FOR_PEER, Reason.INVALID_PEER_LINK, Reason.WRONG_CLOUD_ID, Reason.GATEWAY_REFUSED,
    Reason.PROTOCOL_VERSIONS_DIFFER, Reason.TUNNEL_PORTS_DIFFER, Reason.TUNNEL_ID_RANGES_DIFFER,
    Reason.ENCAPSULATIONS_DIFFER, Reason.NO_COMMON_PROPOSAL, Reason.TUNNEL_MODES_DIFFER,
}  # fmt: skip
OF_PROCESSES = {Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING}


def with_fault(items: Items, code: str) -> Answer:
    """The diagnosis of a cloud that has this fault."""
    processes: tuple[str, ...] = PROCESSES
    if code in OF_PROCESSES:
        processes = tuple(p for p in PROCESSES if ("controller" in p) != (code == Code.CONTROLLER_NOT_ACTIVE))
    elif code in CHANGES:
        CHANGES[code](items)
    elif code in OF_REACHABLE:
        peer(items, "Reachable", "False", code)
    elif code in OF_HANDOVER:
        peer(items, "CredentialsHandedOver", "False", code)
    elif code in OF_PEER:
        peer(items, "Ready", "False", code)
    elif code in OF_AGREED:
        peer(items, "Agreed", "False", code)
        peer(items, "Ready", "False", code)
        connection(items, code, {}, **IKE_DOWN)
    elif code == Code.NOT_PLUGGED:
        of_kind(items, "Attachment")["status"]["nodes"][0]["plugged"] = False
        request(items, Reason.WAITING_FOR_AGENT)
    elif code == Reason.PEER_NOT_FOUND:
        items.remove(of_kind(items, "CloudPeer"))
        request(items, code)
        return diagnosis(items, "web")
    else:
        request(items, code)
    return diagnosis(items, processes=processes)
