"""One peer: whether its CloudPeer is valid, what we publish for it, whether its PeerLink is valid."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from itertools import filterfalse

from isthmus.core.placement.gateways import Gateway
from isthmus.core.placement.gateways import gateways as own_gateways
from isthmus.core.snapshot.conditions import timestamp
from isthmus.core.snapshot.index import Snapshot, claim_precedence
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.addresses import is_possible_gateway
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, PeerGateway, Tunnel
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import OfferedIPsec, OfferedTunnel, PeerLink, PeerLinkSpec, RemotePeerLink
from isthmus.model.facts.peer import PeerView
from isthmus.model.proposals import is_hybrid
from isthmus.model.protocol import PROTOCOL_VERSIONS, READ_AS, Feature, features_of
from isthmus.model.reasons import Reason

from .agreement import Agreement, Disagreement, agree, common_version, encapsulation_of
from .hybrid import offered_proposals
from .uplinks import is_hidden, published, unique_parts

# The view right after the controller's start; statuses about the peer keep their values until it has been read.
UNREAD = PeerView(reachable=False, reason=Reason.NOT_READ_YET, message="the peer's API has not been read yet")
MAX_GATEWAYS = 16
_NOT_AGREED = "outside the gatewayCIDRs of its CloudPeer"


def identity_problem(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """Why this CloudPeer cannot own its cloud ID; nothing is created for it then."""
    own = snapshot.own
    if peer.spec.cloud_id == own.cloud_id:
        return Problem(Reason.OWN_CLOUD_ID, f"cloudID {own.cloud_id} is that of this cloud")
    if _overlap(peer.spec.gateway_cidrs, own.gateway_cidrs):
        return Problem(Reason.GATEWAY_CIDRS_OVERLAP, "gatewayCIDRs overlap this cloud's gateway networks")
    for other in snapshot.all(CloudPeer):
        name = other.metadata.name
        if claim_precedence(other) >= claim_precedence(peer) or other.spec.cloud_id == own.cloud_id:
            continue
        if other.spec.cloud_id == peer.spec.cloud_id:
            return Problem(Reason.DUPLICATE_CLOUD_ID, f"CloudPeer {name} already has cloudID {peer.spec.cloud_id}")
        if _overlap(peer.spec.gateway_cidrs, other.spec.gateway_cidrs):
            return Problem(Reason.GATEWAY_CIDRS_OVERLAP, f"gatewayCIDRs overlap those of CloudPeer {name}")
    return None


def is_invited(peer: CloudPeer) -> bool:
    """Whether the peer has an account here, and has not answered the invitation."""
    return peer.spec.agreement.state == "Invited"


def have_overlapping_gateways(one: CloudPeer, other: CloudPeer) -> bool:
    """Whether the gateway networks of two CloudPeers overlap, so that only one of them can own its cloud ID."""
    return _overlap(one.spec.gateway_cidrs, other.spec.gateway_cidrs)


def policy_of(snapshot: Snapshot, peer: CloudPeer) -> IPsecPolicy | None:
    """The IPsecPolicy that the CloudPeer refers to; None if it does not exist."""
    return snapshot.get(IPsecPolicy, peer.spec.ipsec.policy_ref.name)


def local_peer_link(snapshot: Snapshot, peer: CloudPeer, policy: IPsecPolicy) -> PeerLinkSpec:
    """The spec of our PeerLink, from local facts only, so that neither cloud waits for the other."""
    ours, offered = own_gateways(snapshot), offered_proposals(snapshot, policy)
    return PeerLinkSpec(
        cloud_id=snapshot.own.cloud_id,
        peer_cloud_id=peer.spec.cloud_id,
        protocol_versions=PROTOCOL_VERSIONS,
        state="Cordoned" if peer.spec.agreement.takes_nothing_new else "Active",
        gateways=tuple(_published(snapshot, peer, gateway) for gateway in ours[:MAX_GATEWAYS]),
        tunnel=_offered_tunnel(peer.spec.tunnel),
        ipsec=OfferedIPsec(
            authentication=peer.spec.ipsec.authentication,
            hybrid_proposals=tuple(filter(is_hybrid, offered.ike)),
            ike_proposals=tuple(filterfalse(is_hybrid, offered.ike)),
            esp_proposals=offered.esp,
        ),
    )


def _published(snapshot: Snapshot, peer: CloudPeer, gateway: Gateway) -> PeerGateway:
    node, link = snapshot.get(GatewayNode, gateway.name), snapshot.peerlink(peer.spec.cloud_id)
    connections = node.status.connections if node is not None else ()
    seen = (connection for connection in connections if connection.cloud_id == peer.spec.cloud_id)
    return published(gateway, is_hidden=is_hidden(gateway, seen, link.spec.gateways if link is not None else ()))


def _offered_tunnel(tunnel: Tunnel) -> OfferedTunnel:
    """With the port that is used if the CloudPeer names none: another release may have another default."""
    port = next(iter(encapsulation_of(tunnel).udp_ports), None)
    return OfferedTunnel(encapsulation=tunnel.encapsulation, port=port, mode=tunnel.mode, id_range=tunnel.id_range)


def view_of(snapshot: Snapshot, cloud_id: str) -> PeerView:
    """The last view of that peer; `UNREAD` if there is none yet."""
    return snapshot.views.get(cloud_id) or UNREAD


def remote_peer_link_problem(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """Why the PeerLink that the peer publishes now is refused; None if it is valid or was not read."""
    found = view_of(snapshot, peer.spec.cloud_id).peer_link
    if found is None:
        return None
    remote = found.spec
    if remote is None:
        return Problem(Reason.INVALID_PEER_LINK, f"the peer's PeerLink is malformed: {found.problem}")
    if remote.cloud_id != peer.spec.cloud_id:
        return Problem(
            Reason.WRONG_CLOUD_ID, f"the peer's cloudID is {remote.cloud_id}, its CloudPeer has {peer.spec.cloud_id}"
        )
    if remote.peer_cloud_id != snapshot.own.cloud_id:
        return Problem(
            Reason.WRONG_CLOUD_ID, f"the peer's PeerLink is for cloud {remote.peer_cloud_id}, not for this one"
        )
    if remote.tunnel.id_range.last <= remote.tunnel.id_range.first:
        return Problem(Reason.INVALID_PEER_LINK, "the peer's range of tunnel IDs is empty")
    if remote.tunnel.port is None and encapsulation_of(remote.tunnel).udp_ports:
        text = f"the peer names no UDP port for {remote.tunnel.encapsulation}"
        return Problem(Reason.INVALID_PEER_LINK, text)
    return _gateway_problem(snapshot, peer, remote.gateways)


def remote_peer_link(snapshot: Snapshot, peer: CloudPeer) -> RemotePeerLink | None:
    """The peer's last accepted PeerLink: the published one if it is valid, else the previous one."""
    link = snapshot.peerlink(peer.spec.cloud_id)
    last = link.status.peer if link is not None else None
    found = view_of(snapshot, peer.spec.cloud_id).peer_link
    if found is None or found.spec is None or remote_peer_link_problem(snapshot, peer) is not None:
        return last
    is_known = last is not None and (last.uid, last.generation) == (found.uid, found.generation)
    if last is not None and is_known and last.read_as == READ_AS:
        return last
    return RemotePeerLink(
        uid=found.uid,
        generation=found.generation,
        first_seen=last.first_seen if last is not None and is_known else timestamp(snapshot.now),
        read_as=READ_AS,
        spec=found.spec,
    )


def agreement_with(snapshot: Snapshot, peer: CloudPeer) -> Agreement | Disagreement | None:
    """The agreement from both PeerLinks; None until both are known."""
    link, remote = snapshot.peerlink(peer.spec.cloud_id), remote_peer_link(snapshot, peer)
    return agree(link.spec, remote.spec) if link is not None and remote is not None else None


def has_feature(snapshot: Snapshot, cloud_id: str, feature: Feature) -> bool:
    """Whether both clouds speak a version of the protocol that has the feature, whatever else they disagree on."""
    peer, link = snapshot.peer_of(cloud_id), snapshot.peerlink(cloud_id)
    remote = remote_peer_link(snapshot, peer) if peer is not None else None
    if link is None or remote is None:
        return False
    return feature in features_of(common_version(link.spec, remote.spec))


def _gateway_problem(snapshot: Snapshot, peer: CloudPeer, gateways: Iterable[PeerGateway]) -> Problem | None:
    used, used_ports = set[str](), _tunnel_ports_of_others(snapshot, peer)
    for gateway in gateways:
        for address in gateway.addresses:
            problem = _address_problem(snapshot, peer, address)
            # An address that the gateway has besides is not used before it is agreed on.
            if problem is not None and (address == gateway.address or problem != _NOT_AGREED):
                return Problem(
                    Reason.GATEWAY_REFUSED, f"the peer's gateway {gateway.name} has address {address}, {problem}"
                )
        duplicate = next((text for text in unique_parts(gateway) if text in used), None)
        if duplicate is not None:
            return Problem(Reason.GATEWAY_REFUSED, f"the peer publishes gateway {duplicate} twice")
        port = names.tunnel_port(peer.spec.cloud_id, gateway.name)
        if port in used_ports:
            return Problem(
                Reason.GATEWAY_REFUSED,
                f"the name of gateway {gateway.name} collides with that of another gateway: it needs another one",
            )
        used |= {*unique_parts(gateway)}
        used_ports.add(port)
    return None


def _tunnel_ports_of_others(snapshot: Snapshot, peer: CloudPeer) -> set[str]:
    """Names of the tunnel ports to other peers: a peer could choose gateway names that collide with them."""
    others = (link for link in snapshot.all(PeerLink) if link.spec.peer_cloud_id != peer.spec.cloud_id)
    return {
        names.tunnel_port(link.spec.peer_cloud_id, gateway.name)
        for link in others
        if link.status.peer is not None
        for gateway in link.status.peer.spec.gateways
    }


def _address_problem(snapshot: Snapshot, peer: CloudPeer, address: str) -> str | None:
    """Why the address is not one of this peer's gateways; None if it is."""
    if not is_possible_gateway(address):
        return "which no gateway can have: it is unspecified, loopback, multicast, class E or IPv6 link-local"
    if _inside(address, snapshot.own.gateway_cidrs):
        return "which is in this cloud's gateway networks"
    if _inside(address, peer.spec.gateway_cidrs):
        return None
    others = (p for p in snapshot.all(CloudPeer) if p.spec.cloud_id != peer.spec.cloud_id)
    if any(_inside(address, other.spec.gateway_cidrs) for other in others):
        return "which is in another peer's gatewayCIDRs"
    return _NOT_AGREED


@lru_cache(maxsize=4096)
def _inside(address: str, cidrs: tuple[str, ...]) -> bool:
    """Asked again for each gateway of each peer in every plan of a network."""
    found = ip_address(address)
    return any(found in ip_network(cidr) for cidr in cidrs)


def _overlap(one: Iterable[str], other: Iterable[str]) -> bool:
    others = [ip_network(cidr) for cidr in other]
    return any(network.overlaps(each) for network in map(ip_network, one) for each in others)
