"""Reasons that a receiver gives for not accepting what is offered now."""

from __future__ import annotations

from .explanation import Place, administrator, tenant, transient
from .reason import Reason

_PLACES = (Place.ANSWER, Place.READY)

EXPLANATIONS = {
    Reason.REFUSED: administrator(
        "The peer refuses the network for a reason that this version of Isthmus does not know.",
        "Ask the peer's administrator; compare the versions of Isthmus.",
        Place.READY,
    ),
    Reason.INVALID_OFFER: administrator(
        "What the other cloud publishes about the network breaks a rule of the protocol; the message says which. What "
        "was valid last stays in force.",
        "Change the subnet that the message names. Otherwise compare the versions of Isthmus in both clouds.",
        *_PLACES,
    ),
    Reason.INVALID_TUNNEL_ID: administrator(
        "The tunnel ID of the offer is not in the part of the range that the origin allocates from.",
        "Compare `tunnel.idRange` in both CloudPeers, and the versions of Isthmus.",
        *_PLACES,
    ),
    Reason.TUNNEL_ID_IN_USE: administrator(
        "Another network uses the tunnel ID of the offer.",
        "Withdraw one of the two networks, and ask the administrator of the origin to look for a restored backup.",
        *_PLACES,
        Place.LINK,
    ),
    Reason.LIMIT_REACHED: administrator(
        "The receiver holds as many networks or projects of this origin as were agreed, or the ports that it has "
        "agreed to are reserved for other projects. The message says which.",
        "Ask the receiver's administrator to raise what is too low in `agreement.limits`, or withdraw other networks.",
        *_PLACES,
    ),
    Reason.QUOTA_EXCEEDED: administrator(
        "A quota is used up: that of the replicated project, or one of OpenStack in this cloud.",
        "Raise the quota: `agreement.quotas` of the CloudPeer sets that of replicated projects, and "
        "`agreement.projectQuotas` that of single ones.",
        *_PLACES,
        Place.DEGRADED,
    ),
    Reason.SUBNET_OVERLAP: tenant(
        "A subnet overlaps a subnet of another network of the same project that is stretched already.",
        "Use another CIDR for one of the two subnets.",
        *_PLACES,
    ),
    Reason.DOMAIN_NOT_AVAILABLE: administrator(
        "The Keystone domain for the peer's projects exists at the receiver, but Isthmus did not create it.",
        "Ask the receiver's administrator to name a domain in `agreement.domain` of the CloudPeer.",
        *_PLACES,
    ),
    Reason.REPLICA_FAILED: transient(
        "The receiver cannot create the replica of the network at the moment. It tries again.",
        "If it lasts, ask the receiver's administrator: the Attachment there says what failed.",
        *_PLACES,
    ),
    Reason.GATEWAY_IN_USE: tenant(
        "The gateway of a subnet is to change, and a router at the receiver has a port with the present address: "
        "Neutron refuses that. The gateways of all subnets stay as they are; everything else works.",
        "Detach that router from the subnet (`openstack router remove subnet`); the receiver's Attachment names the "
        "port. Then the gateway is changed without more ado.",
        *_PLACES,
    ),
    Reason.PROJECT_NOT_ACCEPTED: administrator(
        "The receiver accepts no new network of this project of the origin. Those that it has accepted stay.",
        "Ask the receiver's administrator to change `agreement.acceptedProjects` or `agreement.refusedProjects` of the "
        "CloudPeer, or remove the peer from `spec.peers` of the NetworkExpansion.",
        *_PLACES,
    ),
    Reason.AWAITING_APPROVAL: administrator(
        "The receiver accepts only networks that its administrators have approved, and they have not decided on this "
        "one yet.",
        "At the origin, wait. An administrator of the receiver decides with `kubectl isthmus approve NETWORK` or "
        "`refuse NETWORK`, or creates an ExpansionApproval with the name and the namespace of the ExpansionLink.",
        *_PLACES,
    ),
    Reason.REFUSED_BY_ADMINISTRATOR: administrator(
        "An administrator of the receiver refuses the network, or has revoked its acceptance; the message says why if "
        "that was written down. It is disconnected.",
        "Ask the receiver's administrator, or remove the peer from `spec.peers` of the NetworkExpansion. The receiver "
        "accepts the network again when `spec.decision` of its ExpansionApproval is `Accept`.",
        *_PLACES,
    ),
    Reason.NOT_OFFERED: administrator(
        "No peer offers a network for which the ExpansionApproval stands by its name and namespace.",
        "Compare the name and the namespace with those of the ExpansionLinks (`kubectl get expansionlinks -A`). A "
        "decision about a network that is offered later may stay: it applies then.",
        Place.READY,
    ),
}
