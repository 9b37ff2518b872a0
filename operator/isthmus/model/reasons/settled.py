"""Reasons where nothing is wrong."""

from __future__ import annotations

from .explanation import Place, progressing, settled, transient
from .reason import Reason

EXPLANATIONS = {
    Reason.READY: settled("Everything is as it should be.", Place.READY),
    Reason.REACHABLE: settled("The peer's API was read completely.", Place.REACHABLE),
    Reason.ALL_UNDERSTOOD: settled("Everything that the peer publishes is understood.", Place.UNDERSTOOD),
    Reason.AGREED: settled("Both PeerLinks are valid and agree.", Place.AGREED),
    Reason.DECISION_IN_FORCE: settled("What the administrator decided about the network has been done.", Place.READY),
    Reason.ACCEPTED: settled("The receiver accepts this generation of the offer.", Place.ANSWER),
    Reason.RELEASED: settled(
        "The offer was withdrawn, and nothing of the receiver is connected to it any more.", Place.ANSWER
    ),
    Reason.UP: settled("IKE, ESP and BFD are up between the two gateways.", Place.TUNNEL_UP, Place.CONNECTION),
    Reason.PROBE_ANSWERED: settled(
        "Probe frames pass through the tunnel and through br-cloud on both sides, and come back.", Place.LINK
    ),
    Reason.CONFIGURED: settled("The node has the connections of every peer with an agreement.", Place.PEERS_CONFIGURED),
    Reason.AVAILABLE: settled(
        "Keystone accepts the operator's credential, and Neutron answers.", Place.OPENSTACK_AVAILABLE
    ),
    Reason.AS_EXPECTED: settled("Everything that was planned was done.", Place.DEGRADED),
    Reason.BOTH_FENCES: settled("XFRM block policies and the nftables table are in force.", Place.FENCED),
    Reason.ALL_STRETCHED: settled("All subnets of the network are stretched.", Place.SUBNETS_STRETCHED),
    Reason.ALL_CONNECTED: settled("Every peer reaches every other one.", Place.MEMBERS_CONNECTED),
    Reason.NO_CONFLICT: settled("Every address in use is inside its owner's slice.", Place.ADDRESS_CONFLICT),
    Reason.PORTS_UNKNOWN: progressing(
        "Not all ports of the peer have been read yet.",
        Place.ADDRESS_CONFLICT,
        remedy="If it lasts, look at condition `Understood` of the CloudPeer.",
    ),
    Reason.NOT_WITHDRAWN: settled("The network is not being withdrawn.", Place.REPLICA_IN_USE),
    Reason.NOTHING_LEFT: settled(
        "Nothing prevents the deletion of the replica; or nothing is left of any network of a drained agreement.",
        Place.REPLICA_IN_USE,
        Place.DRAINED,
    ),
    Reason.PRESENT: settled("The peer publishes its link of this network.", Place.PEER_SEEN),
    Reason.ABSENT: progressing(
        "The peer no longer publishes its link of this network. If that lasts for the grace period, the network is "
        "disconnected.",
        Place.PEER_SEEN,
        remedy="Ask the peer's administrator whether its objects were deleted on purpose.",
    ),
    Reason.ABSENCE_UNCONFIRMED: transient(
        "The link is missing from what the peer publishes, but the peer does not publish the PeerLink that was "
        "published beside the link either. That does not prove that the link was deleted.",
        "Ask the peer's administrator whether its Isthmus was installed again.",
        Place.PEER_SEEN,
    ),
}
