"""Block policies and charon connections for each peer, and which SAs of the kernel are stale."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from isthmus.core.federation.agreement import Agreement
from isthmus.core.federation.pairing import Pairing, first_of_version, pairing, with_addresses
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.addresses import IpVersion
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeerSpec, PeerGateway
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicySpec
from isthmus.model.node.ipsec import (
    OWN_REQIDS,
    BlockPolicy,
    Credential,
    EspTransport,
    EspTunnel,
    IkeChild,
    IkeConnection,
    IkeEnds,
    IkeView,
    PreSharedKeyRef,
    Protection,
    ProtectPolicy,
    SecurityAssociation,
    reqids,
)
from isthmus.model.node.switch import TunnelPort
from isthmus.model.node.traffic import IcmpType, Prefix, Selector
from isthmus.model.node.tunnel import Encapsulation, TunnelEnds
from isthmus.model.reasons import Reason

from .inner import inner_ends, is_inner

MINIMUM_KEY_LENGTH = 32
_PROTOCOL_UNREACHABLE, _PORT_UNREACHABLE = IcmpType(3, 2), IcmpType(3, 3)  # of ICMP (RFC 792)
_PORT_UNREACHABLE_V6 = IcmpType(1, 4)  # of ICMPv6 (RFC 4443)
_ANYWHERE, _ANYWHERE_V6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
_KEY = re.compile(rb"[!-~]+")


def pre_shared_key(content: bytes) -> bytes:
    """The key in a Secret's content, without line breaks at its end, which editors add."""
    return content.rstrip(b"\r\n")


def key_problem(secret_name: str, content: bytes | None) -> Problem | None:
    """Why a Secret's content cannot be used as a key. The message discloses nothing of the content."""
    where = f"key {names.PSK_KEY} of Secret {names.IPSEC_NAMESPACE}/{secret_name}"
    if content is None:
        return Problem(Reason.KEY_NOT_FOUND, f"{where} does not exist")
    key = pre_shared_key(content)
    if len(key) < MINIMUM_KEY_LENGTH:
        return Problem(Reason.INVALID_KEY, f"{where} has fewer than {MINIMUM_KEY_LENGTH} characters")
    if not _KEY.fullmatch(key):
        return Problem(Reason.INVALID_KEY, f"{where} has characters other than printable ASCII, or spaces")
    return None


def connections(
    *,
    own_cloud_id: str,
    node: str,
    local_address: str,
    peer: CloudPeerSpec,
    policy: IPsecPolicySpec,
    agreement: Agreement,
    gateways: Iterable[PeerGateway],
    secret_version: str,
    credential: Credential | None = None,
    own: PeerGateway | None = None,
    further_addresses: Iterable[str] = (),
) -> tuple[IkeConnection, ...]:
    """One connection for each remote gateway that this node can have one with, with the name of its tunnel port.

    It is from the node's first address of the IP version of the pair: `local_address`, or one of `further_addresses`.
    `own` is this node as our PeerLink has it; without it there is no NAT in front of it. Without `credential` both
    ends use the pre-shared key in the Secret of that version.
    """

    addresses = (local_address, *further_addresses)

    def ends(gateway: PeerGateway, version: IpVersion) -> IkeEnds:
        return IkeEnds(
            local_address=first_of_version(addresses, version) or "",
            remote_address=first_of_version(gateway.addresses, version) or "",
            local_identity=names.ike_identity(node, own_cloud_id),
            remote_identity=names.ike_identity(gateway.name, peer.cloud_id),
        )

    here = own or with_addresses(node, addresses)
    theirs = tuple(gateways)
    pairs = ((gateway, pair_of_node(agreement, here, gateway, addresses)) for gateway in theirs)
    spare = _without_gateway(peer.gateway_cidrs, theirs)
    return tuple(
        IkeConnection(
            name=names.tunnel_port(peer.cloud_id, gateway.name),
            ends=ends(gateway, pair.ip_version),
            protection=_protection(agreement.encapsulation, ends(gateway, pair.ip_version), pair),
            ike_proposals=agreement.ike_proposals,
            esp_proposals=agreement.esp_proposals,
            ike_rekey_time_seconds=policy.ike.rekey_time_seconds,
            esp_rekey_time_seconds=policy.esp.rekey_time_seconds,
            dpd_delay_seconds=policy.dpd_delay_seconds,
            initiator=pair.initiator,
            credential=credential or PreSharedKeyRef(peer.ipsec.auth_secret_ref.name, secret_version),
            ike_margin_seconds=policy.ike.margin_seconds,
            esp_margin_seconds=policy.esp.margin_seconds,
            replay_window_packets=policy.esp.replay_window_packets,
            passive=pair.passive,
            remote_port=gateway.ike_port,
            remote_networks=_of_version(peer.gateway_cidrs if gateway.nat is not None else spare, pair.ip_version),
        )
        for gateway, pair in pairs
        if isinstance(pair, Pairing)
    )


def pair_of_node(
    agreement: Agreement, ours: PeerGateway, theirs: PeerGateway, addresses: Iterable[str]
) -> Pairing | Problem:
    """How this node, with these addresses, connects to one of the peer's gateways, or why it cannot.

    What is published of the node may be of a NAT, or be older than its addresses.
    """
    pair = pairing(agreement, ours, theirs)
    if isinstance(pair, Problem) or first_of_version(addresses, pair.ip_version) is not None:
        return pair
    return Problem(
        Reason.ADDRESS_FAMILIES_DIFFER,
        f"{ours.name} and the peer's {theirs.name} reach each other by IPv{pair.ip_version}, and this node has no such "
        "address in this cloud's gateway networks: configure one, or correct gateway_cidrs",
    )


def _of_version(cidrs: Iterable[str], version: IpVersion) -> tuple[str, ...]:
    return tuple(cidr for cidr in cidrs if ip_network(cidr).version == version)


def _without_gateway(cidrs: Iterable[str], gateways: Iterable[PeerGateway]) -> tuple[str, ...]:
    """Networks of the peer in which none of its gateways is: from there comes what a NAT sends that nobody declared."""
    used = [ip_address(address) for gateway in gateways for address in gateway.addresses]
    return tuple(cidr for cidr in cidrs if not any(address in ip_network(cidr) for address in used))


def _protection(encapsulation: Encapsulation, ends: IkeEnds, pair: Pairing) -> Protection:
    if pair.tunnel_mode:
        return EspTunnel(encapsulation, inner_ends(ends.local_identity, ends.remote_identity))
    return EspTransport(encapsulation)


def blocks(encapsulations: Iterable[Encapsulation]) -> frozenset[BlockPolicy]:
    """Block policies that keep unprotected packets of tunnels with ports off the wire and out of br-cloud.

    Tunnels without ports need those of `blocks_to`.
    """
    return frozenset(block for encapsulation in encapsulations for block in _blocks_of_ports(encapsulation))


def _blocks_of_ports(encapsulation: Encapsulation) -> Iterator[BlockPolicy]:
    """In IPv4 and IPv6, whatever the tunnels' ends are: a port of ours that others change has the same fence."""
    if not encapsulation.udp_ports:
        return
    for anywhere in (_ANYWHERE, _ANYWHERE_V6):
        for traffic in encapsulation.sent.values():
            yield BlockPolicy("out", Selector(anywhere, anywhere, traffic))
        yield BlockPolicy("in", Selector(anywhere, anywhere, encapsulation.received))


def blocks_to(encapsulation: Encapsulation, remote_addresses: Iterable[str]) -> frozenset[BlockPolicy]:
    """Block policies for the tunnels of an encapsulation to these gateways: in addition to those of `blocks`.

    Only their remote address distinguishes packets without ports from those of others, Neutron's for instance. The
    local one stays open: the kernel knows a policy by direction and selector, whatever its priority is. A block with
    both addresses would be charon's own policy, which charon replaces, and removes when it ends.
    """
    remotes = frozenset(remote_addresses)
    found = frozenset(block for address in remotes for block in _blocks_to(encapsulation, ip_network(address)))
    return found | icmp_unreachable_blocks(remotes)


def _blocks_to(encapsulation: Encapsulation, remote: Prefix) -> Iterator[BlockPolicy]:
    if encapsulation.udp_ports or not isinstance(remote, IPv4Network):
        return
    for traffic in encapsulation.sent.values():
        yield BlockPolicy("out", Selector(_ANYWHERE, remote, traffic))
    yield BlockPolicy("in", Selector(remote, _ANYWHERE, encapsulation.received))
    # The kernel's answer if it has no GRE at all: Open vSwitch loads it with the first port.
    yield BlockPolicy("out", Selector(_ANYWHERE, remote, _PROTOCOL_UNREACHABLE))


def blocks_between(encapsulation: Encapsulation, ends: TunnelEnds) -> frozenset[BlockPolicy]:
    """Block policies for a tunnel with these ends, in addition to those of `blocks`.

    What arrives for an inner end that the node has lost is forwarded, if the node forwards at all: it must not be sent
    on either. Of tunnels with ports the port tells.
    """
    found = blocks_to(encapsulation, [ends.remote])
    if encapsulation.udp_ports or not is_inner(ends):
        return found
    arrived = BlockPolicy("out", Selector(_ANYWHERE, ip_network(ends.local), encapsulation.received))
    return found | {arrived}


def icmp_unreachable_blocks(remote_addresses: Iterable[str]) -> frozenset[BlockPolicy]:
    """Block policies against ICMP port unreachable, which the kernel sends if the tunnel port does not exist.

    It quotes, in the clear, a packet that arrived protected (RFC 792).
    """
    return frozenset(_icmp_unreachable_block(ip_network(address)) for address in remote_addresses)


def _icmp_unreachable_block(remote: Prefix) -> BlockPolicy:
    if isinstance(remote, IPv6Network):
        selector = Selector(_ANYWHERE_V6, remote, _PORT_UNREACHABLE_V6)
    else:
        selector = Selector(_ANYWHERE, remote, _PORT_UNREACHABLE)
    return BlockPolicy("out", selector)


def blocks_of_connection(connection: IkeConnection) -> frozenset[BlockPolicy]:
    """The block policies without which neither the connection nor its tunnel port may exist.

    Those of the IP version of its ends: a kernel without IPv6 has no others, and needs none.
    """
    encapsulation, ends = connection.protection.encapsulation, connection.tunnel_ends
    found = blocks([encapsulation]) | blocks_between(encapsulation, ends)
    return frozenset(block for block in found if block.selector.source.version == ip_address(ends.remote).version)


def up(connection: IkeConnection, ike: IkeView) -> bool:
    """Whether the connection is loaded as planned, and its IKE SA and all its children are established in full."""
    state = ike.states.get(connection.name)
    return (
        ike.loaded.get(connection.name) == connection.digest
        and state is not None
        and state.established
        and state.children_installed >= {child.name for child in connection.children}
        and not state.narrowed
    )


def carries(tunnel: TunnelPort, ike: IkeView) -> bool:
    """Whether an existing tunnel has an IKE SA and all SAs that it needs, whatever they were negotiated for."""
    state = ike.states.get(tunnel.name)
    if tunnel.name not in ike.loaded or state is None or not state.established or state.narrowed:
        return False
    return len({child.reqid for child in state.children}) >= len(tunnel.encapsulation.sent)


def narrowed_spis(connection: IkeConnection, ike: IkeView) -> frozenset[int]:
    """SPIs of the connection's SAs, if the peer has narrowed the selectors of one of its children."""
    state = ike.states.get(connection.name)
    return state.spis if state is not None and state.narrowed else frozenset()


def orphaned(existing: Iterable[SecurityAssociation], ike: IkeView, wanted: Iterable[IkeConnection]) -> frozenset[str]:
    """Names of loaded connections for which charon has nothing and the kernel has SAs: a previous charon was killed."""
    connections = tuple(wanted)
    owners = _Owners(connections)
    with_states = {owners.of(association) for association in existing}
    return frozenset(
        c.name
        for c in connections
        if ike.loaded.get(c.name) == c.digest and c.name not in ike.states and c.name in with_states
    )


def stale_associations(
    existing: Iterable[SecurityAssociation], ike: IkeView, wanted: Iterable[IkeConnection]
) -> frozenset[SecurityAssociation]:
    """ESP states that a previous charon left: those of a connection, and unknown to charon.

    None is stale before its connection is up: until then it may still carry the traffic.
    """
    connections = tuple(wanted)
    owners, complete = _Owners(connections), {connection.name for connection in connections if up(connection, ike)}
    return frozenset(a for a in unknown_associations(existing, ike) if owners.of(a) in complete)


def former_associations(
    existing: Iterable[SecurityAssociation], tunnels: Iterable[TunnelPort]
) -> frozenset[SecurityAssociation]:
    """ESP states of ours for anything else than these tunnels, by which a peer may still send.

    They are of former settings, which charon ends when they have been replaced; or a killed charon has left them.
    """
    needed = {reqid for tunnel in tunnels for reqid in reqids(tunnel.encapsulation, tunnel.ends)}
    return frozenset(a for a in existing if a.protocol == "esp" and a.reqid >= OWN_REQIDS and a.reqid not in needed)


def unknown_associations(existing: Iterable[SecurityAssociation], ike: IkeView) -> frozenset[SecurityAssociation]:
    """Those that charon does not know: a previous one has left them."""
    known = frozenset(spi for state in ike.states.values() for spi in state.spis)
    return frozenset(a for a in existing if a.spi not in known)


class _Owners:
    """Finds the connection that an SA in the kernel belongs to, or belonged to.

    In transport mode by its addresses. In tunnel mode by its reqid: a NAT may give several gateways the same address.
    """

    def __init__(self, connections: Iterable[IkeConnection]) -> None:
        self._by_addresses: dict[frozenset[str], str] = {}
        self._by_reqid: dict[int, str] = {}
        for connection in connections:
            match connection.protection:
                case EspTransport():
                    self._by_addresses[connection.ends.addresses] = connection.name
                case EspTunnel():
                    self._by_reqid |= {child.reqid: connection.name for child in connection.children}

    def of(self, association: SecurityAssociation) -> str | None:
        """Name of the connection; None if it is none of these."""
        if association.protocol != "esp":
            return None
        return self._by_reqid.get(association.reqid) or self._by_addresses.get(association.addresses)


def lost_spis(
    ike: IkeView, installed: Iterable[SecurityAssociation], policies: Iterable[ProtectPolicy]
) -> dict[str, frozenset[int]]:
    """By connection, the SPIs of children that charon has in use and whose SAs or policies the kernel has not.

    `installed` must hold what the kernel had before charon was asked as well as after: an SA that was negotiated or
    ended in between is in one of them.
    """
    spis, protected = frozenset(a.spi for a in installed), frozenset(policies)
    lost = {
        name: frozenset(spi for c in state.children if not _in_kernel(c, spis, protected) for spi in c.spis)
        for name, state in ike.states.items()
    }
    return {name: found for name, found in lost.items() if found}


def _in_kernel(child: IkeChild, spis: frozenset[int], policies: frozenset[ProtectPolicy]) -> bool:
    needed = {ProtectPolicy(direction, child.reqid) for direction in ("in", "out")}
    return child.spis <= spis and needed <= policies
