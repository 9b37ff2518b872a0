"""The reasons themselves. What each means, and what to do about it, is in the modules beside this one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something is in the state that it is in: `reason` of a condition, an answer, a connection or an error."""

    # Nothing is wrong.
    READY = "Ready"
    REACHABLE = "Reachable"
    AGREED = "Agreed"
    ACCEPTED = "Accepted"
    ALL_UNDERSTOOD = "AllUnderstood"
    UP = "Up"
    PROBE_ANSWERED = "ProbeAnswered"
    CONFIGURED = "Configured"
    AVAILABLE = "Available"
    AS_EXPECTED = "AsExpected"
    BOTH_FENCES = "BothFences"
    ALL_STRETCHED = "AllStretched"
    NO_CONFLICT = "NoConflict"
    NOT_WITHDRAWN = "NotWithdrawn"
    NOTHING_LEFT = "NothingLeft"
    PRESENT = "Present"
    ABSENT = "Absent"
    PORTS_UNKNOWN = "PortsUnknown"
    ABSENCE_UNCONFIRMED = "AbsenceUnconfirmed"

    # A peer's API.
    NOT_READ_YET = "NotReadYet"
    KUBECONFIG_NOT_FOUND = "KubeconfigNotFound"
    INVALID_KUBECONFIG = "InvalidKubeconfig"
    PEER_UNREACHABLE = "PeerUnreachable"
    PEER_FORBIDDEN = "PeerForbidden"
    PEER_NOT_PUBLISHING = "PeerNotPublishing"
    INVALID_ANSWER = "InvalidAnswer"
    PARTLY_UNDERSTOOD = "PartlyUnderstood"

    CREDENTIAL_VALID = "CredentialValid"
    CREDENTIAL_EXPIRING = "CredentialExpiring"
    CREDENTIAL_EXPIRED = "CredentialExpired"
    EXPIRY_UNKNOWN = "ExpiryUnknown"
    HANDED_OVER = "HandedOver"
    LEGACY_CREDENTIAL = "LegacyCredential"
    NOT_HANDED_OVER = "NotHandedOver"
    HANDOVER_EXPIRED = "HandoverExpired"
    ACCOUNT_RECREATED = "AccountRecreated"

    # The agreement with a peer.
    OWN_CLOUD_ID = "OwnCloudID"
    DUPLICATE_CLOUD_ID = "DuplicateCloudID"
    WRONG_CLOUD_ID = "WrongCloudID"
    GATEWAY_CIDRS_OVERLAP = "GatewayCIDRsOverlap"
    NAMESPACE_NOT_MANAGED = "NamespaceNotManaged"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    POLICY_NOT_FOUND = "PolicyNotFound"
    WAITING_FOR_PEER = "WaitingForPeer"
    INVALID_PEER_LINK = "InvalidPeerLink"
    GATEWAY_REFUSED = "GatewayRefused"
    PROTOCOL_VERSIONS_DIFFER = "ProtocolVersionsDiffer"
    TUNNEL_PORTS_DIFFER = "TunnelPortsDiffer"
    TUNNEL_ID_RANGES_DIFFER = "TunnelIDRangesDiffer"
    NO_COMMON_PROPOSAL = "NoCommonProposal"
    WITHDRAWING = "Withdrawing"
    WAITING_FOR_RELEASE = "WaitingForRelease"

    # Whether a network may be stretched.
    NAMESPACE_NOT_BOUND = "NamespaceNotBound"
    NETWORK_NOT_FOUND = "NetworkNotFound"
    NETWORK_NOT_STRETCHABLE = "NetworkNotStretchable"
    NO_SUBNET = "NoSubnet"
    UNSUPPORTED_SUBNET = "UnsupportedSubnet"
    UNSUPPORTED_MTU = "UnsupportedMTU"
    NETWORK_ALREADY_EXPANDED = "NetworkAlreadyExpanded"
    PEER_NOT_FOUND = "PeerNotFound"
    PEER_TERMINATING = "PeerTerminating"
    PROJECT_NOT_ALLOWED = "ProjectNotAllowed"
    CORDONED = "Cordoned"
    PEER_CORDONED = "PeerCordoned"
    WAITING_FOR_AGREEMENT = "WaitingForAgreement"
    TUNNEL_IDS_EXHAUSTED = "TunnelIDsExhausted"
    NO_FREE_SLICE = "NoFreeSlice"
    DETAILS_OMITTED = "DetailsOmitted"
    ROUTER_IS_DISTRIBUTED = "RouterIsDistributed"
    POLICY_ON_NETWORK = "PolicyOnNetwork"

    # What a receiver answers to an offer.
    RELEASED = "Released"
    REFUSED = "Refused"
    INVALID_OFFER = "InvalidOffer"
    INVALID_TUNNEL_ID = "InvalidTunnelID"
    TUNNEL_ID_IN_USE = "TunnelIDInUse"
    LIMIT_REACHED = "LimitReached"
    QUOTA_EXCEEDED = "QuotaExceeded"
    SUBNET_OVERLAP = "SubnetOverlap"
    DOMAIN_NOT_AVAILABLE = "DomainNotAvailable"
    REPLICA_FAILED = "ReplicaFailed"

    # How far a stretched network is.
    PREPARING_OFFER = "PreparingOffer"
    CREATING_REPLICA = "CreatingReplica"
    NO_GATEWAY_NODE = "NoGatewayNode"
    PEER_HAS_NO_GATEWAY = "PeerHasNoGateway"
    ATTACHING = "Attaching"
    SETTING_MTU = "SettingMTU"
    WAITING_FOR_AGENT = "WaitingForAgent"
    PROBING = "Probing"
    PORT_DOWN = "PortDown"
    NETWORK_DISABLED = "NetworkDisabled"
    PROBE_UNANSWERED = "ProbeUnanswered"
    NOT_CONNECTED = "NotConnected"
    PEER_WITHDRAWN = "PeerWithdrawn"
    ADDRESS_OUTSIDE_SLICE = "AddressOutsideSlice"
    REPLICA_IN_USE = "ReplicaInUse"
    PORTS_LEFT = "PortsLeft"
    PROJECT_NOT_EMPTY = "ProjectNotEmpty"
    PROJECT_KEPT = "ProjectKept"

    # A gateway node and its tunnels.
    NO_TUNNEL_ADDRESS = "NoTunnelAddress"
    CHARON_UNAVAILABLE = "CharonUnavailable"
    MISSING_CAPABILITY = "MissingCapability"
    STATUS_TRUNCATED = "StatusTruncated"
    NFTABLES_UNSUPPORTED = "NftablesUnsupported"
    NFTABLES_FAILED = "NftablesFailed"
    NFTABLES_RULESET_DIFFERS = "NftablesRulesetDiffers"
    KEY_NOT_FOUND = "KeyNotFound"
    INVALID_KEY = "InvalidKey"
    TUNNEL_PORT_IN_USE = "TunnelPortInUse"
    TUNNEL_PORT_FAILED = "TunnelPortFailed"
    FLOWS_REJECTED = "FlowsRejected"
    AUTHENTICATION_FAILED = "AuthenticationFailed"
    IKE_NOT_ESTABLISHED = "IKENotEstablished"
    ESP_NOT_INSTALLED = "ESPNotInstalled"
    SELECTORS_NARROWED = "SelectorsNarrowed"
    SAS_MISSING_IN_KERNEL = "SAsMissingInKernel"
    BFD_DOWN = "BFDDown"
    TUNNEL_DOWN = "TunnelDown"
    NO_TUNNEL = "NoTunnel"

    # External systems, and Isthmus itself.
    UNAVAILABLE = "Unavailable"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    CONFLICT = "Conflict"
    INVALID = "Invalid"
    NOT_SETTLED = "NotSettled"
    INTERNAL_ERROR = "InternalError"

    @classmethod
    def parse(cls, text: str, unknown: Reason) -> Reason:
        """The reason of that name, or `unknown` for one that only another version of Isthmus knows."""
        try:
            return cls(text)
        except ValueError:
            return unknown
