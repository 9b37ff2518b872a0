"""Reasons why a network may not be stretched."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, tenant
from .reason import Reason

EXPLANATIONS = {
    Reason.NAMESPACE_NOT_BOUND: administrator(
        "The namespace of the NetworkExpansion is not bound to an OpenStack project.",
        "Annotate the namespace with `isthmus.cloud/project-id`.",
        Place.READY,
    ),
    Reason.TOO_MANY_EXPANSIONS: tenant(
        "The namespace has more NetworkExpansions than this cloud considers.",
        "Delete others, or ask the administrators of this cloud to raise `expansions_per_namespace`.",
        Place.READY,
    ),
    Reason.NETWORK_NOT_FOUND: tenant(
        "The project of this namespace has no network of that ID.",
        "Create a NetworkExpansion with the ID of a network of the project: `networkID` is immutable.",
        Place.READY,
    ),
    Reason.NETWORK_NOT_STRETCHABLE: tenant(
        "The network is external or shared, is a physical network (flat) or a private VLAN, or is not one layer-2 "
        "domain of untagged frames. The message says which.",
        "Stretch a network that belongs to the project alone and has one segment.",
        Place.READY,
    ),
    Reason.NETWORK_IS_REPLICA: tenant(
        "The network is a replica that Isthmus made here of a network of a peer. Only its origin can stretch it: a "
        "second way between the same clouds would be a loop.",
        "Add the peer to the NetworkExpansion at the origin, which the message names, and delete this one.",
        Place.READY,
    ),
    Reason.NO_SUBNET: tenant("The network has no subnet.", "Create a subnet on it.", Place.READY),
    Reason.UNSUPPORTED_SUBNET: tenant(
        "The network has a subnet whose gateway is outside its CIDR, an IPv6 subnet whose prefix is delegated or which "
        "is not a /64 although machines form their addresses, or more subnets or allocation pools than can be "
        "stretched. The message says which.",
        "Delete what the message names, or move it to another network.",
        Place.READY,
        Place.SUBNETS_STRETCHED,
    ),
    Reason.UNSUPPORTED_MTU: tenant(
        "The MTU of the network is smaller than any host must accept.",
        "Set the MTU of the network to 576 or more, with an IPv6 subnet to 1280 or more.",
        Place.READY,
    ),
    Reason.NETWORK_ALREADY_EXPANDED: tenant(
        "Another NetworkExpansion stretches this network.",
        "Add the peers to the other NetworkExpansion, and delete this one.",
        Place.READY,
    ),
    Reason.PEER_NOT_FOUND: tenant(
        "There is no CloudPeer of that name.",
        "Correct the name in `spec.peers`; an administrator can list the CloudPeers.",
        Place.READY,
    ),
    Reason.PEER_TERMINATING: tenant(
        "The CloudPeer is being deleted, and the network is withdrawn from it.",
        "Remove the peer from `spec.peers`.",
        Place.READY,
    ),
    Reason.PROJECT_NOT_ALLOWED: administrator(
        "The CloudPeer does not allow this project to stretch networks to the peer.",
        "Add the project to `agreement.allowedProjects` of the CloudPeer, or remove the peer from `spec.peers`.",
        Place.READY,
    ),
    Reason.CORDONED: administrator(
        "The agreement is cordoned: nothing new is offered or accepted, what is stretched stays. In an answer it is "
        "the receiver's agreement that is cordoned.",
        "Set `agreement.state` of the CloudPeer to `Active`.",
        Place.READY,
        Place.ANSWER,
    ),
    Reason.DRAINED: administrator(
        "The deadline of a drained agreement is past: its networks are disconnected. In an answer it is the receiver's "
        "agreement that is drained.",
        "Remove the peer from `spec.peers`. If the agreement is to go on, set `agreement.state` of the CloudPeer to "
        "`Active`: the networks are then stretched again.",
        Place.READY,
        Place.ANSWER,
    ),
    Reason.DRAINING: progressing(
        "This cloud's administrators drain the agreement with the peer: networks are disconnected at the time in the "
        "message. Nothing new is offered or accepted.",
        Place.PEER_DRAINING,
        remedy="Move what needs the connection before that time. To call it off, set `agreement.state` of the "
        "CloudPeer to `Active`.",
    ),
    Reason.PEER_DRAINS: progressing(
        "The peer's administrators drain the agreement with this cloud: networks are disconnected at the time in the "
        "message. Nothing new is offered or accepted.",
        Place.PEER_DRAINING,
        remedy="Move what needs the connection before that time, or ask the peer's administrator to call it off.",
    ),
    Reason.WAITING_FOR_DEADLINE: progressing(
        "The agreement is being drained, and its networks stay connected until the time in the message.",
        Place.DRAINED,
        remedy="To have it earlier, lower `agreement.drain.graceSeconds` of the CloudPeer; to call it off, set "
        "`agreement.state` to `Active`.",
    ),
    Reason.PEER_CORDONED: administrator(
        "The peer has cordoned its agreement with this cloud and accepts nothing new.",
        "Ask the peer's administrator.",
        Place.READY,
    ),
    Reason.WAITING_FOR_AGREEMENT: progressing(
        "There is no agreement with the peer yet.",
        Place.READY,
        remedy="Look at the conditions of the CloudPeer.",
    ),
    Reason.TUNNEL_IDS_EXHAUSTED: administrator(
        "All tunnel IDs that this cloud may allocate for the peer are in use.",
        "Enlarge `tunnel.idRange` in both CloudPeers, or withdraw networks.",
        Place.READY,
    ),
    Reason.NO_FREE_SLICE: tenant(
        "A subnet has no run of free addresses that is large enough for the peer's slice, or would keep too few for "
        "this cloud. The message names the numbers.",
        "Free addresses, or create the NetworkExpansion with a smaller `addressing.sliceSize`: it is immutable.",
        Place.READY,
    ),
    Reason.NO_ADDRESSES_LEFT: tenant(
        "A peer has few addresses of a subnet left, and its slice cannot grow: too few addresses are free here, or it "
        "has grown as often as it can. The message names the numbers.",
        "Delete ports in either cloud, add addresses to the allocation pools, or stretch a further subnet.",
        Place.ADDRESSES_LOW,
    ),
    Reason.SLICE_DOES_NOT_GROW: tenant(
        "A peer has few addresses of a subnet left, and its slice does not grow: `addressing.growth` is `None`, or the "
        "slice is one of `addressing.slices`.",
        "Set `addressing.growth` to `Auto`, delete ports at the peer, or stretch a further subnet.",
        Place.ADDRESSES_LOW,
    ),
    Reason.NOT_SHAREABLE: tenant(
        "An address of `addressing.shared` is in no subnet of the network, or is a gateway, or is in a slice that is "
        "published to a peer. It is treated as if it were not listed; all others are shared.",
        "Take it out of `addressing.shared`, or choose another address instead.",
        Place.SHARED_ADDRESSES_IGNORED,
    ),
    Reason.DETAILS_OMITTED: tenant(
        "All subnets are stretched, but not every detail: host routes, name servers or addresses of ports that are no "
        "addresses are left out. The message names them.",
        "Correct what the message names in Neutron.",
        Place.SUBNETS_STRETCHED,
    ),
    Reason.ROUTER_IS_DISTRIBUTED: tenant(
        "A distributed router (ML2/OVS) has an interface on the network. Each node runs an instance of the router with "
        "a MAC address of its own, and Neutron's Open vSwitch agent drops frames of these addresses where they leave "
        "the node.",
        "Connect the network to a centralised router.",
        Place.DISTRIBUTED_ROUTER,
    ),
    Reason.POLICY_ON_NETWORK: tenant(
        "The network has a QoS policy. Neutron applies it to every port of the network that has none of its own, also "
        "to the attachment port, which all traffic of the peers passes. Isthmus could not give that port a QoS policy "
        "without rules: Neutron refused it, or somebody keeps removing it.",
        "Remove the policy from the network, and set it on the ports of the machines. Or have an administrator do what "
        "the controller's log says: Neutron must allow the operator's user to create a QoS policy and to set it on its "
        "ports. It is tried again every hour, and when the controller starts.",
        Place.QOS_POLICY,
    ),
    Reason.PORTS_COLLIDE: tenant(
        "A machine of another cloud has the address or the MAC address of a port of this cloud, or of a third one. The "
        "message names both ports. They disturb each other.",
        "Delete one of the two ports and create it again.",
        Place.REMOTE_PORTS_INCOMPLETE,
    ),
    Reason.TOO_MANY_ADDRESSES: tenant(
        "A machine of another cloud has more addresses on one port than Neutron gives to a port by default "
        "(`max_fixed_ips_per_port`). The others are not reserved here, and no group admits them.",
        "Divide the addresses of the machine between several ports.",
        Place.REMOTE_PORTS_INCOMPLETE,
    ),
    Reason.TOO_MANY_REMOTE_PORTS: administrator(
        "The other clouds have more machines on the network than ports may stand for here.",
        "Raise `remote_ports_per_network`, and the quota of ports of the operator's project with it.",
        Place.REMOTE_PORTS_INCOMPLETE,
    ),
    Reason.PORTS_NOT_PASSED_ON: tenant(
        "A peer has more machines on the network than this cloud tells the other peers of: 1,000, those whose ports "
        "have the lowest IDs. They reach the others, too, but reserve neither their addresses nor their MAC addresses, "
        "routers of ML2/OVN there may not reach them, and no security group there admits them.",
        "Divide the machines between several networks, or between several peers.",
        Place.REMOTE_PORTS_INCOMPLETE,
    ),
    Reason.REMOTE_PORTS_OFF: administrator(
        "A machine of another cloud is in a security group of this cloud by the port that stands for it, and no ports "
        "may stand for machines of other clouds here. Rules with a remote group admit none of them.",
        "Set `remote_ports_per_network` of the controller, with room in the quota of ports of the operator's project.",
        Place.GROUPS_IGNORED,
    ),
    Reason.RULES_NOT_CARRIED: tenant(
        "Some rules cannot be said exactly to other clouds: those whose remote is an address group, or a security "
        "group of another project, of a name that several groups have, or `default` unless it is joined. Other clouds "
        "have the groups without them, and admit less. Of a network 16 groups are carried, of at most 64 rules each.",
        "Use address prefixes or groups that are carried in these rules, and give each group a name of its own.",
        Place.GROUPS_INCOMPLETE,
    ),
    Reason.GROUP_EXISTS: tenant(
        "The project of the replica has a security group of this name which Isthmus has not made, or several. It is "
        "left as it is, and counts as the origin's by its name if it is the only one.",
        "Delete or rename the group in the project of the replica; then it is made with the origin's rules.",
        Place.GROUPS_INCOMPLETE,
    ),
    Reason.PEER_TOO_OLD: administrator(
        "The peer's Isthmus does not know a part of what is wanted: both clouds must speak a version of the protocol "
        "that has it. The message says what. Everything else works.",
        "Ask the peer's administrator to upgrade Isthmus; the rest then takes effect.",
        Place.GATEWAY_IGNORED,
        Place.GROUPS_IGNORED,
        Place.MEMBERS_CONNECTED,
        Place.SUBNETS_STRETCHED,
        Place.READY,
    ),
    Reason.IPV6_NEEDS_ORIGIN: tenant(
        "Machines of an IPv6 subnet find their router by the origin's advertisements, and its prefix leads to the "
        "origin. With `gateway: Local` they leave by a router of the peer's with IPv4 alone; to a peer with "
        "`gateway: None` IPv6 subnets are not stretched.",
        "Choose `gateway: Origin` for the peer if its machines are to have IPv6, or leave it so.",
        Place.GATEWAY_IGNORED,
        Place.SUBNETS_STRETCHED,
        Place.READY,
    ),
    Reason.SLICE_TOO_SMALL: tenant(
        "A slice that the peer has got already has no address left over for a gateway of the peer's own.",
        "Choose `gateway: Origin` or `None` for the peer. Or remove the peer from `spec.peers`, wait until it has "
        "released the network, and add it again: its slices are then chosen large enough, unless `addressing` is "
        "smaller.",
        Place.GATEWAY_IGNORED,
    ),
}
