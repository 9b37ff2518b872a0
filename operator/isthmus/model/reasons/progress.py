"""Reasons that say how far a stretched network is."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, tenant, transient
from .reason import Reason

EXPLANATIONS = {
    Reason.PREPARING_OFFER: progressing("The offer to the peer is being prepared.", Place.READY),
    Reason.CREATING_REPLICA: progressing("The replica of the peer's network is being created.", Place.READY),
    Reason.ATTACHING: progressing("The network is being connected to the gateway node.", Place.READY),
    Reason.SETTING_MTU: progressing("The agreed MTU is being set on the network.", Place.READY),
    Reason.WAITING_FOR_AGENT: progressing(
        "The agent of a gateway node has not reported the network's port and links yet, or that it has given up what "
        "was withdrawn: until then no other network gets the tunnel IDs.",
        Place.READY,
        remedy="If it lasts, look at the GatewayNode, and at the log of isthmus-agent on that node. A node that is "
        "gone counts until its Kubernetes node is deleted.",
    ),
    Reason.NO_GATEWAY_NODE: transient(
        "No gateway node of this cloud is ready.",
        "Label a Kubernetes node with `isthmus.cloud/gateway=true`, or look at the conditions of the GatewayNodes.",
        Place.READY,
    ),
    Reason.PEER_HAS_NO_GATEWAY: transient(
        "The peer names no active gateway for this network, or one that its PeerLink does not have.",
        "If it lasts, ask the peer's administrator to look at the GatewayNodes there.",
        Place.READY,
    ),
    Reason.PROBING: progressing("No dataplane probe of the link has been answered yet.", Place.READY, Place.LINK),
    Reason.PORT_DOWN: transient(
        "Neutron's back end on the active gateway node has not put the network's attachment port into service.",
        "If it lasts, look at ovn-controller or Neutron's Open vSwitch agent on that node.",
        Place.READY,
    ),
    Reason.NETWORK_DISABLED: tenant(
        "The network, or its replica, is disabled in Neutron: nothing passes.",
        "Enable it: `openstack network set --enable`.",
        Place.READY,
    ),
    Reason.PROBE_UNANSWERED: transient(
        "No probe frame comes back from the peer's gateway. The message says if other packets of the network arrive.",
        "If it lasts, look at the connections of the GatewayNodes in both clouds, and at `TunnelUp` of the CloudPeers. "
        "If packets arrive, the peer's gateway does not reflect probes, which the protocol requires.",
        Place.READY,
        Place.LINK,
    ),
    Reason.MEMBERS_UNREACHABLE: transient(
        "Two peers do not reach each other through this cloud: no probe frame comes back. The message names them.",
        "It takes some seconds after a peer has accepted. If it lasts, look at both in `status.peers`, and at the "
        "Attachment in each of the two clouds.",
        Place.MEMBERS_CONNECTED,
    ),
    Reason.NOT_CONNECTED: progressing("The network is not connected to any peer.", Place.READY),
    Reason.PEER_WITHDRAWN: administrator(
        "The peer has ended the agreement, and has disconnected the network.",
        "Agree again with the peer's administrator, or remove the peer from `spec.peers` of the NetworkExpansion.",
        Place.READY,
    ),
    Reason.ADDRESS_OUTSIDE_SLICE: tenant(
        "A port uses an address that belongs to the other cloud's slice, or has one of `addressing.shared` as its own. "
        "The message names the ports.",
        "Give the port an address of its own cloud's allocation pools; or have remote ports switched on in the other "
        "cloud, which then reserves the address. A shared address is for allowed address pairs: delete a port that "
        "reserves it, or take it out of `addressing.shared`.",
        Place.ADDRESS_CONFLICT,
    ),
    Reason.REPLICA_IN_USE: tenant(
        "The network was withdrawn, but its replica is still in use.",
        "Delete what condition `ReplicaInUse` names.",
        Place.READY,
        Place.DRAINED,
    ),
    Reason.PORTS_LEFT: tenant(
        "The replica still has ports of servers or routers.",
        "Delete the ports that the message names, or the servers that they belong to.",
        Place.REPLICA_IN_USE,
    ),
    Reason.PROJECT_NOT_EMPTY: tenant(
        "The replicated project still has networks, routers or other resources in Neutron.",
        "Delete them; after that Isthmus deletes the project.",
        Place.REPLICA_IN_USE,
    ),
    Reason.PROJECT_KEPT: administrator(
        "The replica is deleted and its project is kept, for it may hold resources of services that Isthmus does not "
        "ask, such as volumes or images.",
        "Delete the project. Or annotate the CloudPeer with `isthmus.cloud/delete-projects=true`: projects of this "
        "peer are then deleted once they are empty in Neutron.",
        Place.REPLICA_IN_USE,
    ),
}
