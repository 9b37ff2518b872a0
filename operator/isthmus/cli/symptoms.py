"""What users notice, and the codes of `kubectl isthmus diagnose` that may be behind it, the likeliest first."""

from __future__ import annotations

from typing import Final

from isthmus.model.reasons import Reason
from isthmus.plugin.core.diagnosis.catalogue import Code

SYMPTOMS: Final[tuple[tuple[str, tuple[Code | Reason, ...]], ...]] = (
    (
        "Nothing passes on any network that is stretched to a peer.",
        (
            Code.PEER_GATEWAY_UNREACHABLE, Code.ESP_NOT_RECEIVED, Code.ESP_NOT_RECEIVED_BY_PEER, Reason.BFD_DOWN,
            Code.GATEWAY_NODE_UNAVAILABLE, Reason.NO_GATEWAY_NODE, Reason.PEER_HAS_NO_GATEWAY,
        ),
    ),
    (
        "Nothing passes since a gateway or its charon was started again. Until then the existing SAs were used.",
        (
            Code.IKE_NOT_RECEIVED, Code.IKE_NOT_COMPLETED, Reason.AUTHENTICATION_FAILED, Reason.KEY_NOT_FOUND,
            Reason.ESP_NOT_INSTALLED, Reason.CHARON_UNAVAILABLE,
        ),
    ),
    (
        "Nothing passes since one of the clouds has changed its CloudPeer or IPsecPolicy.",
        (
            Reason.TUNNEL_PORTS_DIFFER, Reason.NO_COMMON_PROPOSAL, Reason.GATEWAY_REFUSED,
            Reason.ENCAPSULATIONS_DIFFER, Reason.TUNNEL_ID_RANGES_DIFFER, Reason.POLICY_NOT_FOUND,
        ),
    ),
    (
        "Nothing passes on one network, while others of the same peer work.",
        (
            Reason.PROBE_UNANSWERED, Reason.NETWORK_DISABLED, Reason.PORT_DOWN, Code.NOT_PLUGGED,
            Reason.FLOWS_REJECTED, Reason.REFUSED_BY_ADMINISTRATOR,
        ),
    ),
    ("Ping and small requests pass, and larger transfers hang.", (Code.LONG_FRAMES_LOST,)),
    (
        "What is stretched keeps working, and nothing more is stretched, changed or withdrawn.",
        (
            Code.CONTROLLER_NOT_ACTIVE, Reason.PEER_UNREACHABLE, Code.PEER_CERTIFICATE_NOT_TRUSTED,
            Reason.PEER_FORBIDDEN, Reason.CREDENTIAL_EXPIRED, Code.OPENSTACK_UNAVAILABLE, Reason.CORDONED,
            Reason.PEER_CORDONED,
        ),
    ),
    ("Statuses do not change any more.", (Code.CONTROLLER_NOT_ACTIVE, Code.AGENT_NOT_RUNNING)),
    (
        "A new CloudPeer does not become ready.",
        (
            Reason.WAITING_FOR_PEER, Reason.KUBECONFIG_NOT_FOUND, Reason.INVALID_KUBECONFIG, Reason.NOT_HANDED_OVER,
            Reason.WRONG_CLOUD_ID, Reason.DUPLICATE_CLOUD_ID, Reason.GATEWAY_CIDRS_OVERLAP, Reason.KEY_NOT_FOUND,
        ),
    ),
    (
        "A new network does not become ready, while others of the same peer work.",
        (
            Reason.PROJECT_NOT_ALLOWED, Reason.WAITING_FOR_PEER, Reason.REFUSED, Reason.LIMIT_REACHED,
            Reason.QUOTA_EXCEEDED, Reason.SUBNET_OVERLAP, Reason.UNSUPPORTED_SUBNET, Reason.NETWORK_ALREADY_EXPANDED,
            Reason.NAMESPACE_NOT_BOUND, Reason.AWAITING_APPROVAL, Reason.REFUSED_BY_ADMINISTRATOR,
            Reason.PROJECT_NOT_ACCEPTED,
        ),
    ),
)  # fmt: skip
