"""The condition types of our kinds, and what True, False and Unknown mean in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class ConditionType(StrEnum):
    """`type` of a condition."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    STALLED = "Stalled"
    REACHABLE = "Reachable"
    AGREED = "Agreed"
    TUNNEL_UP = "TunnelUp"
    UNDERSTOOD = "Understood"
    CREDENTIAL_EXPIRING = "CredentialExpiring"
    CREDENTIALS_HANDED_OVER = "CredentialsHandedOver"
    OPENSTACK_AVAILABLE = "OpenStackAvailable"
    SUBNETS_STRETCHED = "SubnetsStretched"
    MEMBERS_CONNECTED = "MembersConnected"
    ADDRESS_CONFLICT = "AddressConflict"
    ADDRESSES_LOW = "AddressesLow"
    DISTRIBUTED_ROUTER = "DistributedRouter"
    QOS_POLICY = "QoSPolicy"
    GATEWAY_IGNORED = "GatewayIgnored"
    SHARED_ADDRESSES_IGNORED = "SharedAddressesIgnored"
    PEER_DRAINING = "PeerDraining"
    DRAINED = "Drained"
    REMOTE_PORTS_INCOMPLETE = "RemotePortsIncomplete"
    GROUPS_IGNORED = "GroupsIgnored"
    GROUPS_INCOMPLETE = "GroupsIncomplete"
    PEER_SEEN = "PeerSeen"
    REPLICA_IN_USE = "ReplicaInUse"
    PEERS_CONFIGURED = "PeersConfigured"
    FENCED = "Fenced"
    DEGRADED = "Degraded"
    CERTIFICATE_EXPIRING = "CertificateExpiring"
    HYBRID_KEY_EXCHANGE = "HybridKeyExchange"


@dataclass(frozen=True)
class Meaning:
    """Meaning of one condition type on one kind; a status without a text never occurs."""

    true: str
    false: str = ""
    unknown: str = ""


PROGRESS: Final = MappingProxyType(
    {
        ConditionType.PROGRESSING: Meaning(
            true="Isthmus or the peer is at work, or Isthmus tries again by itself. Wait.",
            false="The object is ready, or somebody has to act first (`Stalled`).",
        ),
        ConditionType.STALLED: Meaning(
            true="Nothing more happens until somebody acts: the reason says who, the message says what to do. The "
            "condition is present only while it is True.",
        ),
    }
)
"""On every kind, beside `Ready` or `Agreed`, with the same reason and message."""

MEANINGS: Final[Mapping[str, Mapping[ConditionType, Meaning]]] = MappingProxyType(
    {
        "CloudPeer": {
            ConditionType.READY: Meaning(
                true="The agreement is in force and every tunnel to the peer is up.",
                false="Something prevents that. The reason is that of the first problem, in the order in which an "
                "administrator would fix them.",
            ),
            ConditionType.REACHABLE: Meaning(
                true="The last read of the peer's API was complete.",
                false="The peer's API cannot be read. What was read last stays in force.",
                unknown="The controller has not read the peer's API since it started.",
            ),
            ConditionType.AGREED: Meaning(
                true="The PeerLinks of both clouds are valid and agree.",
                false="The peer's PeerLink is refused, or the two PeerLinks do not agree.",
                unknown="The peer's PeerLink has never been read.",
            ),
            ConditionType.TUNNEL_UP: Meaning(
                true="Every connection of our gateway nodes to the peer's gateways is up.",
                false="At least one connection is down. Reason and message are those of the first one.",
                unknown="No gateway node of ours reports a connection to the peer.",
            ),
            ConditionType.UNDERSTOOD: Meaning(
                true="This version of Isthmus understands everything that the peer publishes.",
                false="Something was left out; everything else is in use. The message names objects and fields.",
                unknown="The peer's API has not been read since the controller started.",
            ),
            ConditionType.CREDENTIAL_EXPIRING: Meaning(
                true="The credential with which we read the peer ends soon, or has ended. Networks that are stretched "
                "keep working; no change of the peer is seen after its end.",
                false="The credential is valid for longer.",
                unknown="The credential does not tell when it ends.",
            ),
            ConditionType.CREDENTIALS_HANDED_OVER: Meaning(
                true="A kubeconfig with which the peer can read us has been made, and has not ended.",
                false="None has been made, or it has ended or become void. The message has the command for a new one.",
                unknown="The peer's account has not been read since the controller started.",
            ),
            ConditionType.HYBRID_KEY_EXCHANGE: Meaning(
                true="Every IKE SA with the peer was made by a hybrid key exchange: a classical one and ML-KEM. The "
                "message names it.",
                false="One was not, or could not be, for the reason given. That is no fault: where `requireHybrid` "
                "forbids it there is no tunnel instead.",
                unknown="No gateway node of ours reports an IKE SA with the peer.",
            ),
            ConditionType.DRAINED: Meaning(
                true="The agreement is drained, and nothing is left of any network: the CloudPeer can be deleted.",
                false="It is being drained: the deadline has not come, or something is left. The condition is present "
                "only while `agreement.state` is `Drained`.",
            ),
            ConditionType.PEER_DRAINING: Meaning(
                true="The peer ends the agreement at the time in the message. The condition is present only while it "
                "is True.",
            ),
            ConditionType.OPENSTACK_AVAILABLE: Meaning(
                true="The controller can use this cloud's own OpenStack: Keystone accepts its credential, and Neutron "
                "answers.",
                false="It cannot. Stretched networks keep working; none is stretched, moved or withdrawn meanwhile. "
                "Every CloudPeer has this condition, because networks of all peers need OpenStack.",
            ),
        },
        "NetworkExpansion": {
            ConditionType.READY: Meaning(
                true="The network is stretched to every peer of the expansion, and traffic passes.",
                false="At least one peer is missing. Reason and message are those of the first one; `status.peers` "
                "has them all.",
            ),
            ConditionType.DEGRADED: Meaning(
                true="The last attempt to do what is wanted now failed, or something is left as others have made it; "
                "what is in place stays in place. `Ready` is False as well if the network needs it, for instance to "
                "move to another gateway node. Isthmus tries again by itself.",
                false="Nothing failed.",
            ),
            ConditionType.SUBNETS_STRETCHED: Meaning(
                true="All subnets of the network are stretched.",
                false="Subnets that cannot be stretched were added since, and exist in this cloud only; IPv6 subnets "
                "are not stretched to a peer; or details of subnets are left out.",
            ),
            ConditionType.MEMBERS_CONNECTED: Meaning(
                true="The peers reach each other through this cloud.",
                false="Some do not. The condition is present only if two peers or more have accepted the network.",
            ),
            ConditionType.ADDRESS_CONFLICT: Meaning(
                true="An address is in use outside its owner's slice, or a port has a shared one as its own.",
                false="Every address in use is inside its owner's slice.",
                unknown="Not all ports of the peer are known.",
            ),
            ConditionType.ADDRESSES_LOW: Meaning(
                true="A peer has few addresses of a subnet left, and gets no more. The condition is present only while "
                "it is True.",
            ),
            ConditionType.DISTRIBUTED_ROUTER: Meaning(
                true="Machines at the peers may not reach a distributed router of this cloud. The condition is present "
                "only while it is True.",
            ),
            ConditionType.QOS_POLICY: Meaning(
                true="All machines at the peers share the limits that the network's QoS policy sets for one machine: "
                "the attachment port could not be exempted. The condition is present only while it is True.",
            ),
            ConditionType.SHARED_ADDRESSES_IGNORED: Meaning(
                true="Some of `addressing.shared` are not shared. The condition is present only while it is True.",
            ),
            ConditionType.GATEWAY_IGNORED: Meaning(
                true="Machines at a peer have the origin's gateway, of IPv6 if not of all subnets, although another "
                "choice is in `spec.peers`. The condition is present only while it is True.",
            ),
            ConditionType.PEER_DRAINING: Meaning(
                true="The agreement with a peer ends at the time in the message, and with it the stretch to that peer. "
                "The condition is present only while it is True.",
            ),
            ConditionType.REMOTE_PORTS_INCOMPLETE: Meaning(
                true="Machines of the peers have no port in this cloud, or at another peer: Neutron may assign their "
                "addresses or MAC addresses again there, and its routers may not reach them. The condition is present "
                "only while it is True.",
            ),
            ConditionType.GROUPS_IGNORED: Meaning(
                true="With `securityGroups: ByName` or `Carried`, security groups of the same name do not count as one "
                "in all clouds: rules admit fewer machines than is wanted. The condition is present only while it is "
                "True.",
            ),
            ConditionType.GROUPS_INCOMPLETE: Meaning(
                true="With `securityGroups: Carried`, some security groups or rules are not made in the other clouds, "
                "which admit less than this one. The condition is present only while it is True.",
            ),
        },
        "PeerLink": {
            ConditionType.AGREED: Meaning(
                true="The PeerLinks of both clouds are valid and agree.",
                false="The peer's PeerLink is refused, or the two PeerLinks do not agree.",
                unknown="The peer's PeerLink has never been read.",
            ),
        },
        "ExpansionLink": {
            ConditionType.READY: Meaning(
                true="The network is stretched to the peer, and traffic passes.",
                false="It is not, for the reason given. The peer can read this: the message names nothing local.",
            ),
            ConditionType.PEER_DRAINING: Meaning(
                true="One of the two clouds ends the agreement at the time in the message. The condition is present "
                "only while it is True.",
            ),
            ConditionType.PEER_SEEN: Meaning(
                true="The last complete read of the peer contained its link of this network.",
                false="The last complete read did not contain it. The grace period runs from this transition.",
                unknown="The last read does not tell.",
            ),
        },
        "ExpansionApproval": {
            ConditionType.READY: Meaning(
                true="The decision is in force: the network is accepted, or it is refused and disconnected.",
                false="It is not, for the reason given.",
            ),
        },
        "Attachment": {
            ConditionType.READY: Meaning(
                true="The gateway nodes forward the network's traffic to every peer.",
                false="They do not, for the reason given.",
            ),
            ConditionType.DEGRADED: Meaning(
                true="The last attempt to do what is wanted now failed, or something is left as others have made it; "
                "what is in place stays in place. `Ready` is False as well if the network needs it, for instance to "
                "move to another gateway node. Isthmus tries again by itself.",
                false="Nothing failed.",
            ),
            ConditionType.ADDRESS_CONFLICT: Meaning(
                true="An address is in use outside its owner's slice, or a port has a shared one as its own.",
                false="Every address in use is inside its owner's slice.",
                unknown="Not all ports of the peer are known.",
            ),
            ConditionType.PEER_DRAINING: Meaning(
                true="One of the two clouds ends the agreement at the time in the message, and the replica is "
                "disconnected then. The condition is present only while it is True.",
            ),
            ConditionType.REMOTE_PORTS_INCOMPLETE: Meaning(
                true="Machines of other members have no port in this cloud, or, at the origin, in a third one: Neutron "
                "may assign their addresses or MAC addresses again there, and its routers may not reach them. The "
                "condition is present only while it is True.",
            ),
            ConditionType.GROUPS_IGNORED: Meaning(
                true="The origin's tenant wants security groups of the same name to count as one, and they do not in "
                "all clouds: rules admit fewer machines than is wanted. The condition is present only while it is "
                "True.",
            ),
            ConditionType.GROUPS_INCOMPLETE: Meaning(
                true="The origin's tenant wants security groups to be the same in all clouds, and some are not. The "
                "condition is present only while it is True.",
            ),
            ConditionType.REPLICA_IN_USE: Meaning(
                true="The network was withdrawn, and its replica cannot be deleted because it is still in use.",
                false="The replica is not being deleted, or nothing prevents its deletion.",
            ),
        },
        "GatewayNode": {
            ConditionType.READY: Meaning(
                true="The node can forward: it has a tunnel address, br-cloud with its flows, and at least one of the "
                "planned tunnel ports and of the attachments. What single peers and networks lack is the "
                "matter of `Degraded`.",
                false="It cannot. What is in place stays in place. A failure alone, such as a charon or an Open "
                "vSwitch that does not answer, never makes it False.",
            ),
            ConditionType.DEGRADED: Meaning(
                true="The last iteration of the agent failed, or something of single peers or networks could not be "
                "done; everything else was, and what is in place stays in place. The reason is that of the first "
                "problem, the message names as many as fit. The agent tries again by itself.",
                false="Everything that was planned was done.",
            ),
            ConditionType.PEERS_CONFIGURED: Meaning(
                true="Every peer with an agreement has its connections on this node.",
                false="At least one peer has none. The reason is that of the first one, the message names them all.",
            ),
            ConditionType.CERTIFICATE_EXPIRING: Meaning(
                true="A certificate, a CA or a CRL on this node expires soon, or has expired. The message names the "
                "first one.",
                false="None does. Without certificates the condition is absent.",
            ),
            ConditionType.FENCED: Meaning(
                true="XFRM block policies and an nftables table each keep unprotected tunnel traffic off the wire.",
                false="The XFRM block policies do so alone. The node works.",
            ),
        },
    }
)
"""By kind, in the order of the documentation."""
