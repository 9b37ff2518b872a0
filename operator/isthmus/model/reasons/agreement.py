"""Reasons about the agreement with a peer."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, terminal
from .reason import Reason

_AGREED = (Place.AGREED, Place.READY, Place.PEERS_CONFIGURED, Place.CONNECTION)

EXPLANATIONS = {
    Reason.INVITED: progressing(
        "The peer was invited, and has an account with which it can read nothing yet. Nothing is published for it or "
        "configured.",
        Place.READY,
        remedy="Run `kubectl isthmus accept` with the peer's answer; `kubectl isthmus revoke` withdraws the "
        "invitation.",
    ),
    Reason.OWN_CLOUD_ID: terminal(
        "The CloudPeer has the cloud ID of this very cloud.",
        "Delete it, and create one with the peer's cloud ID: `cloudID` is immutable.",
        Place.READY,
    ),
    Reason.DUPLICATE_CLOUD_ID: administrator(
        "Another CloudPeer has the same cloud ID.", "Delete one of the two.", Place.READY
    ),
    Reason.GATEWAY_CIDRS_OVERLAP: administrator(
        "The gateway networks of the peer overlap ours, or those of another peer.",
        "Correct `gatewayCIDRs` of the CloudPeer, or `gateway_cidrs` in the settings.",
        Place.READY,
    ),
    Reason.NAMESPACE_NOT_MANAGED: administrator(
        "The namespace for this peer exists, but Isthmus did not create it and does not adopt it.",
        "Delete the namespace, or rename what needs it.",
        Place.READY,
    ),
    Reason.NAMESPACE_TERMINATING: progressing(
        "The namespace for this peer is being deleted; it is created again after that.",
        Place.READY,
        remedy="If it does not go away, look for objects with finalizers in it.",
    ),
    Reason.POLICY_NOT_FOUND: administrator(
        "The IPsecPolicy that the CloudPeer refers to does not exist.",
        "Create it, or correct `ipsec.policyRef`.",
        Place.READY,
        Place.PEERS_CONFIGURED,
        Place.CONNECTION,
    ),
    Reason.WEAK_PROPOSAL: administrator(
        "The IPsecPolicy has a proposal that is too weak or unknown. The message names it, and why. What was agreed "
        "before stays in force.",
        "Replace the proposal, or name a baseline instead.",
        Place.READY,
    ),
    Reason.LIFETIMES_CROSS: administrator(
        "In the IPsecPolicy, keys of ESP would outlive the IKE SA, or be renewed all the time. What was agreed before "
        "stays in force.",
        "Correct `rekeyTimeSeconds` and `marginSeconds` as the message says.",
        Place.READY,
    ),
    Reason.WAITING_FOR_PEER: progressing(
        "The peer has not published its PeerLink, or its answer to an offer, yet.",
        Place.AGREED,
        Place.READY,
        Place.PEERS_CONFIGURED,
        Place.CONNECTION,
        remedy="If it lasts, ask the peer's administrator for the CloudPeer that stands for this cloud.",
    ),
    Reason.WRONG_CLOUD_ID: administrator(
        "The peer publishes an object that is by, for or about another cloud.",
        "Compare the cloud IDs in both CloudPeers and in the settings of both clouds.",
        Place.AGREED,
        Place.READY,
        Place.ANSWER,
    ),
    Reason.INVALID_PEER_LINK: administrator(
        "The PeerLink that the peer publishes is malformed. The message names the fields. The last valid one stays in "
        "force.",
        "Ask the peer's administrator; compare the versions of Isthmus.",
        Place.AGREED,
        Place.READY,
    ),
    Reason.GATEWAY_REFUSED: administrator(
        "A gateway that the peer publishes has a name or an address that was not agreed. The last valid PeerLink stays "
        "in force.",
        "Compare `gatewayCIDRs` of the CloudPeer with the peer's gateways; the message names the gateway.",
        Place.AGREED,
        Place.READY,
    ),
    Reason.PROTOCOL_VERSIONS_DIFFER: administrator(
        "The two clouds have no version of the protocol in common.", "Upgrade the older Isthmus.", *_AGREED
    ),
    Reason.ENCAPSULATIONS_DIFFER: administrator(
        "The two clouds name different encapsulations for the tunnel. A cloud of a release that knows VXLAN only names "
        "none, and means that.",
        "Set the same `tunnel.encapsulation` in both CloudPeers.",
        *_AGREED,
    ),
    Reason.TUNNEL_MODES_DIFFER: administrator(
        "The two clouds name different modes of ESP, neither of them Auto. A cloud of a release that knows transport "
        "mode only names none, and means that.",
        "Set the same `tunnel.mode` in both CloudPeers, or Auto in one of them.",
        *_AGREED,
    ),
    Reason.TUNNEL_PORTS_DIFFER: administrator(
        "The two clouds name different UDP ports for the tunnel.",
        "Set the same `tunnel.port` in both CloudPeers.",
        *_AGREED,
    ),
    Reason.TUNNEL_ID_RANGES_DIFFER: administrator(
        "The two clouds name different ranges of tunnel IDs.",
        "Set the same `tunnel.idRange` in both CloudPeers.",
        *_AGREED,
    ),
    Reason.NO_COMMON_PROPOSAL: administrator(
        "The IPsecPolicies of the two clouds have no IKE proposal, or no ESP proposal, in common; or charon on a "
        "gateway node can do none of those.",
        "Add a proposal to one of the IPsecPolicies, or to both if it is charon: the message names those that there "
        "are.",
        *_AGREED,
    ),
    Reason.HYBRID_REQUIRED: administrator(
        "One cloud accepts hybrid key exchange only (`requireHybrid`, or its own list of IKE proposals), and the other "
        "offers none.",
        "Let the other cloud's IPsecPolicy have hybrid proposals, and give its gateways a strongSwan that can do "
        "ML-KEM; or give up `requireHybrid`.",
        *_AGREED,
    ),
    Reason.HYBRID_NOT_OFFERED: administrator(
        "The IPsecPolicy has a list of IKE proposals, and none of them is hybrid.",
        "To have hybrid key exchange, leave out `ike.proposals`, or add one with `-ke1_mlkem768`.",
        Place.HYBRID_KEY_EXCHANGE,
    ),
    Reason.HYBRID_NOT_OFFERED_BY_PEER: administrator(
        "The peer offers no hybrid proposal, or none that this cloud has, too: its IPsecPolicy has none, none of its "
        "gateways can do ML-KEM, or its Isthmus is older.",
        "To have hybrid key exchange, ask the peer's administrator for condition `HybridKeyExchange` over there.",
        Place.HYBRID_KEY_EXCHANGE,
    ),
    Reason.HYBRID_NOT_TAKEN: administrator(
        "Both clouds offer a hybrid proposal, and the two gateways use the fallback all the same.",
        "To have hybrid key exchange, list hybrid proposals first if the message says that, else give the peer's "
        "gateway that it names a strongSwan that can do ML-KEM. If it has one, look at its agent's and charon's logs.",
        Place.HYBRID_KEY_EXCHANGE,
    ),
    Reason.WITHDRAWING: progressing(
        "The network or the agreement is being withdrawn: what was created is deleted, what was changed is restored.",
        Place.READY,
        Place.DRAINED,
    ),
    Reason.WAITING_FOR_RELEASE: progressing(
        "The network is withdrawn, and the peer has not yet confirmed that it is disconnected. Until then its tunnel "
        "ID stays reserved.",
        Place.READY,
        Place.DRAINED,
        remedy="If the peer is gone for good, delete its CloudPeer and annotate that with `isthmus.cloud/forget=true`.",
    ),
}
