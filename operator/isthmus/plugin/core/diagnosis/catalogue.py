"""Every code that `diagnose` can name: its layer, whose it is, its symptom and the remedy.

Most codes are reasons of conditions; those have their remedies where all reasons have them. The others are known only
to whoever compares what several objects report.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from isthmus.model.reasons import EXPLANATIONS, Reason

from ..reported import explanation
from .layers import Layer, Whose

PAGE: Final = "docs/troubleshooting.md"


class Code(StrEnum):
    """Codes that are no reasons."""

    CONTROLLER_NOT_ACTIVE = "ControllerNotActive"
    AGENT_NOT_RUNNING = "AgentNotRunning"
    GATEWAY_NODE_UNAVAILABLE = "GatewayNodeUnavailable"
    PEER_CERTIFICATE_NOT_TRUSTED = "PeerCertificateNotTrusted"
    PEER_GATEWAY_UNREACHABLE = "PeerGatewayUnreachable"
    IKE_NOT_RECEIVED = "IKENotReceived"
    IKE_NOT_COMPLETED = "IKENotCompleted"
    ESP_NOT_RECEIVED = "ESPNotReceived"
    ESP_NOT_RECEIVED_BY_PEER = "ESPNotReceivedByPeer"
    NOT_PLUGGED = "NotPlugged"
    OPENSTACK_UNAVAILABLE = "OpenStackUnavailable"
    LONG_FRAMES_LOST = "LongFramesLost"


@dataclass(frozen=True)
class Row:
    """One code."""

    code: str
    layer: Layer
    whose: Whose
    symptom: str
    remedy: str

    @property
    def anchor(self) -> str:
        """Page and heading of the documentation."""
        return f"{PAGE}#{self.code.lower()}"


_OF_REASONS: Final = (
    (Layer.INSTALLATION, Whose.US, (Reason.NO_GATEWAY_NODE, Reason.NO_TUNNEL_ADDRESS)),
    (Layer.INSTALLATION, Whose.US, (Reason.CHARON_UNAVAILABLE, Reason.MISSING_CAPABILITY)),
    (Layer.REACH, Whose.PEER_OR_BETWEEN, (Reason.PEER_UNREACHABLE,)),
    (Layer.REACH, Whose.PEER, (Reason.PEER_NOT_PUBLISHING, Reason.INVALID_ANSWER)),
    (Layer.CREDENTIAL, Whose.US, (Reason.KUBECONFIG_NOT_FOUND, Reason.INVALID_KUBECONFIG)),
    (Layer.CREDENTIAL, Whose.PEER, (Reason.PEER_FORBIDDEN, Reason.CREDENTIAL_EXPIRED, Reason.CREDENTIAL_EXPIRING)),
    (Layer.CREDENTIAL, Whose.US, (Reason.NOT_HANDED_OVER, Reason.HANDOVER_EXPIRED, Reason.ACCOUNT_RECREATED)),
    (Layer.AGREEMENT, Whose.US, (Reason.OWN_CLOUD_ID, Reason.DUPLICATE_CLOUD_ID, Reason.GATEWAY_CIDRS_OVERLAP)),
    (Layer.AGREEMENT, Whose.US, (Reason.NAMESPACE_NOT_MANAGED, Reason.NAMESPACE_TERMINATING, Reason.POLICY_NOT_FOUND)),
    (Layer.AGREEMENT, Whose.US, (Reason.WEAK_PROPOSAL, Reason.LIFETIMES_CROSS)),
    (Layer.AGREEMENT, Whose.US, (Reason.NOT_UNDERSTOOD, Reason.PEER_TERMINATING, Reason.CORDONED)),
    (Layer.AGREEMENT, Whose.US, (Reason.DRAINED,)),
    (Layer.AGREEMENT, Whose.US, (Reason.PROJECT_NOT_ALLOWED, Reason.TUNNEL_IDS_EXHAUSTED, Reason.PEER_NOT_FOUND)),
    (Layer.AGREEMENT, Whose.PEER, (Reason.WAITING_FOR_PEER, Reason.INVALID_PEER_LINK, Reason.PEER_CORDONED)),
    (Layer.AGREEMENT, Whose.PEER, (Reason.PEER_WITHDRAWN, Reason.REFUSED, Reason.LIMIT_REACHED)),
    (Layer.AGREEMENT, Whose.PEER, (Reason.AWAITING_APPROVAL, Reason.REFUSED_BY_ADMINISTRATOR)),
    (Layer.AGREEMENT, Whose.PEER, (Reason.PROJECT_NOT_ACCEPTED,)),
    (Layer.AGREEMENT, Whose.PEER, (Reason.DOMAIN_NOT_AVAILABLE, Reason.REPLICA_FAILED)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.WRONG_CLOUD_ID, Reason.GATEWAY_REFUSED, Reason.PARTLY_UNDERSTOOD)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.PROTOCOL_VERSIONS_DIFFER, Reason.ENCAPSULATIONS_DIFFER)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.TUNNEL_PORTS_DIFFER, Reason.TUNNEL_ID_RANGES_DIFFER)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.NO_COMMON_PROPOSAL, Reason.HYBRID_REQUIRED)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.TUNNEL_MODES_DIFFER,)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.INVALID_OFFER, Reason.INVALID_TUNNEL_ID, Reason.TUNNEL_ID_IN_USE)),
    (Layer.AGREEMENT, Whose.US_OR_PEER, (Reason.QUOTA_EXCEEDED, Reason.SUBNET_OVERLAP, Reason.GATEWAY_IN_USE)),
    (Layer.UNDERLAY, Whose.PEER, (Reason.PEER_HAS_NO_GATEWAY,)),
    (Layer.IKE, Whose.US, (Reason.KEY_NOT_FOUND, Reason.INVALID_KEY, Reason.HYBRID_NOT_SUPPORTED)),
    (Layer.IKE, Whose.US, (Reason.CERTIFICATE_NOT_FOUND, Reason.INVALID_CERTIFICATE)),
    (Layer.IKE, Whose.US, (Reason.CERTIFICATE_KEY_DIFFERS, Reason.CERTIFICATE_CHAIN_TOO_LONG)),
    (Layer.IKE, Whose.PEER, (Reason.CERTIFICATE_REVOKED,)),
    (Layer.IKE, Whose.US_OR_PEER, (Reason.AUTHENTICATION_FAILED, Reason.IKE_NOT_ESTABLISHED)),
    (Layer.IKE, Whose.US_OR_PEER, (Reason.ENCAPSULATION_NEEDS_IPV4, Reason.INNER_ENDS_COLLIDE)),
    (Layer.IKE, Whose.US_OR_PEER, (Reason.ADDRESS_FAMILIES_DIFFER,)),
    (Layer.IKE, Whose.US_OR_PEER, (Reason.NOBODY_REACHABLE, Reason.TRANSPORT_THROUGH_NAT)),
    (Layer.ESP, Whose.US, (Reason.SAS_MISSING_IN_KERNEL,)),
    (Layer.ESP, Whose.PEER, (Reason.SELECTORS_NARROWED,)),
    (Layer.ESP, Whose.US_OR_PEER, (Reason.ESP_NOT_INSTALLED,)),
    (Layer.BFD, Whose.US, (Reason.TUNNEL_PORT_IN_USE, Reason.TUNNEL_PORT_FAILED, Reason.NO_TUNNEL)),
    (Layer.BFD, Whose.PEER, (Reason.BFD_DOWN,)),
    (Layer.ECHO, Whose.PEER, (Reason.PROBE_UNANSWERED,)),
    (Layer.ECHO, Whose.US, (Reason.FLOWS_REJECTED,)),
    (Layer.PORT, Whose.NEUTRON, (Reason.PORT_DOWN, Reason.NETWORK_DISABLED, Reason.NETWORK_NOT_FOUND)),
    (Layer.PORT, Whose.US, (Reason.NAMESPACE_NOT_BOUND, Reason.TOO_MANY_EXPANSIONS, Reason.NETWORK_NOT_STRETCHABLE)),
    (Layer.PORT, Whose.US, (Reason.NETWORK_IS_REPLICA,)),
    (Layer.PORT, Whose.US, (Reason.NO_SUBNET, Reason.UNSUPPORTED_SUBNET, Reason.UNSUPPORTED_MTU)),
    (Layer.PORT, Whose.US, (Reason.NETWORK_ALREADY_EXPANDED, Reason.NO_FREE_SLICE)),
    (Layer.PORT, Whose.US, (Reason.DRIFT_CONTESTED, Reason.PROJECT_NOT_USABLE)),
    (Layer.PORT, Whose.US, (Reason.REPLICA_IN_USE, Reason.NOT_SETTLED, Reason.INTERNAL_ERROR)),
)

_OWN: Final = (
    Row(
        Code.CONTROLLER_NOT_ACTIVE,
        Layer.INSTALLATION,
        Whose.US,
        "No controller renews the Lease `isthmus-controller`. Stretched networks keep working; no change of the peer, "
        "and none of a tenant's, is seen.",
        "Start the controller, or look at its log: it needs this cluster's API server, and the right to the Lease.",
    ),
    Row(
        Code.AGENT_NOT_RUNNING,
        Layer.INSTALLATION,
        Whose.US,
        "The agent of a gateway node does not renew its Lease. What the node forwards stays as it is; what is reported "
        "of it is old.",
        "Start the agent on the node, or look at its log: it needs this cluster's API server.",
    ),
    Row(
        Code.GATEWAY_NODE_UNAVAILABLE,
        Layer.INSTALLATION,
        Whose.US,
        "Open vSwitch or the kernel of a gateway node does not do what the agent asks for. The evidence names it.",
        "Look at ovs-vswitchd and ovsdb-server on the node, and at the log of the agent.",
    ),
    Row(
        Code.PEER_CERTIFICATE_NOT_TRUSTED,
        Layer.REACH,
        Whose.US_OR_PEER,
        "Something answers at the address of the peer's API server with a certificate that the kubeconfig's authority "
        "has not issued: the peer has another authority by now, or it is another server.",
        "Ask the peer's administrator for a new kubeconfig, and check the address in it.",
    ),
    Row(
        Code.PEER_GATEWAY_UNREACHABLE,
        Layer.UNDERLAY,
        Whose.PEER_OR_BETWEEN,
        "Neither IKE packets nor answers to ICMP echo arrive from the peer's gateway.",
        "Check routes and firewalls between the gateways, and that the peer's gateway is running.",
    ),
    Row(
        Code.IKE_NOT_RECEIVED,
        Layer.IKE,
        Whose.PEER_OR_BETWEEN,
        "The peer's gateway answers ICMP echo, and no IKE packet arrives from it.",
        "Let UDP port 500 pass between the gateways in both directions. If it does, the peer's charon does not run, "
        "or has no connection for us: ask the peer's administrator to run `kubectl isthmus diagnose`.",
    ),
    Row(
        Code.IKE_NOT_COMPLETED,
        Layer.IKE,
        Whose.PEER_OR_BETWEEN,
        "IKE packets of the peer's gateway arrive, and no IKE SA comes of them: ours do not arrive there, or it has no "
        "connection for us.",
        "Let UDP port 500 pass from our gateway to the peer's, and fragments of it. If it does, ask the peer's "
        "administrator to run `kubectl isthmus diagnose`.",
    ),
    Row(
        Code.ESP_NOT_RECEIVED,
        Layer.ESP_PASSES,
        Whose.PEER_OR_BETWEEN,
        "IKE (UDP port 500) passes and the SAs are installed, and no ESP packet arrives from the peer's gateway, which "
        "sends BFD every second if its Open vSwitch runs.",
        "Let ESP (IP protocol 50) pass from the peer's gateway to ours. If it does, ask the peer's administrator to "
        "run `kubectl isthmus diagnose`.",
    ),
    Row(
        Code.ESP_NOT_RECEIVED_BY_PEER,
        Layer.ESP_PASSES,
        Whose.PEER_OR_BETWEEN,
        "ESP packets arrive from the peer's gateway, and it reports by BFD that it receives none of ours.",
        "Let ESP (IP protocol 50) pass from our gateway to the peer's.",
    ),
    Row(
        Code.NOT_PLUGGED,
        Layer.PORT,
        Whose.US,
        "The port of the network is not plugged into br-int of the active gateway node, or its flows are missing.",
        "Look at condition `Degraded` of the GatewayNode, and at the log of the agent on that node.",
    ),
    Row(
        Code.OPENSTACK_UNAVAILABLE,
        Layer.PORT,
        Whose.NEUTRON,
        "The controller cannot use this cloud's Keystone or Neutron. Stretched networks keep working; none is "
        "stretched, moved or withdrawn.",
        "Look at the service that the evidence names, and at the operator's credential in the clouds file.",
    ),
    Row(
        Code.LONG_FRAMES_LOST,
        Layer.MTU,
        Whose.BETWEEN,
        "Short dataplane probes come back, and those that are as long as the network's MTU do not: connections open, "
        "and then hang.",
        "Let packets of the tunnel interface's MTU pass between the gateways, and fragments. The networks' MTU follows "
        "what passes within a minute, if that is enough for any network: packets of 576 bytes and all headers.",
    ),
)


def _rows_of_reasons() -> dict[str, Row]:
    return {
        str(reason): Row(reason, layer, whose, EXPLANATIONS[reason].meaning, EXPLANATIONS[reason].remedy)
        for layer, whose, reasons in _OF_REASONS
        for reason in reasons
    }


ROWS: Final[Mapping[str, Row]] = MappingProxyType(_rows_of_reasons() | {str(row.code): row for row in _OWN})
"""By code."""

_UNKNOWN_REMEDY: Final = "Compare the versions: `kubectl isthmus version`."


def row_of(code: str, layer: Layer) -> Row:
    """The row of a code; one for a reason that another release, or another place, has."""
    if code in ROWS:
        return ROWS[code]
    known = explanation(code)
    meaning, remedy = (known.meaning, known.remedy) if known else ("", "")
    return Row(code, layer, Whose.US_OR_PEER, meaning, remedy or _UNKNOWN_REMEDY)
