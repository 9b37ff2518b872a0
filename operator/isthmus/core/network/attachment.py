"""What origin and receiver share: attachment ports, the Attachment's spec, the path to a peer, published ports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

from isthmus.core.federation.peer import remote_peer_link
from isthmus.core.placement.gateways import Gateway, active_gateway, gateways
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.actions import (
    Action,
    ApplyObject,
    CreateAttachmentPort,
    DeletePort,
    ExemptAttachmentPort,
    RestoreAttachmentPort,
)
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import (
    AddressOwner,
    Attachment,
    AttachmentLink,
    AttachmentSpec,
    DirectPath,
    MemberPath,
    NodePort,
)
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_ADDRESSES_PER_PORT,
    ExpansionLinkSpec,
    GroupMatching,
    NetworkIdentity,
    Offer,
    PublishedPort,
)
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.facts.openstack import NetworkFacts, Port
from isthmus.model.remembered import remembered

from .exclusive import exclusive_ports
from .security_groups import groups_by_name, published_groups

_REMEMBERED_PORTS: Final = 1 << 15  # 50 MB


def network_identity(link_name: str) -> NetworkIdentity:
    """The network that a link name stands for."""
    cloud_id, _, network_id = link_name.partition(".")
    return NetworkIdentity(cloud_id=cloud_id, network_id=network_id)


def new_attachment(link_name: str, spec: AttachmentSpec) -> Attachment:
    """An Attachment to apply for that network."""
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    return Attachment(metadata=ObjectMeta(name=link_name, namespace=names.SYSTEM_NAMESPACE, labels=labels), spec=spec)


def gateway_for(
    snapshot: Snapshot, link_name: str, attachment: Attachment | None, published: Iterable[str | None]
) -> Gateway | None:
    """The gateway node that should carry the network; None if no node can.

    `published` are the nodes that our links name: in the middle of a move, or without its port, none is active.
    """
    active_node = attachment.spec.active_node if attachment else None
    previous = active_node or next(filter(None, published), None)
    return active_gateway(gateways(snapshot), link_name, previous, snapshot.own.gateway_return_seconds)


def attachment_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Our attachment ports on the network; ordered by ID."""
    return _our_ports(names.ATTACHMENT_DEVICE_OWNER, facts)


def gateway_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Our ports that reserve gateway addresses on the replica; ordered by ID."""
    return _our_ports(names.GATEWAY_DEVICE_OWNER, facts)


def remote_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Our ports that stand for machines of other members; ordered by ID."""
    return _our_ports(names.REMOTE_DEVICE_OWNER, facts)


def tenant_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Ports that prevent the network's deletion: neither ours nor those that Neutron deletes with the network."""
    return tuple(
        port
        for port in facts.ports
        if not _is_ours(port, facts.own_project_id) and port.device_owner not in {"network:dhcp", "network:distributed"}
    )


def published_ports(
    facts: NetworkFacts, *, ipv6: bool = False, matching: GroupMatching | None = None
) -> tuple[PublishedPort, ...]:
    """The addresses in use in this cloud, for the peer to detect conflicts, with `ipv6` of both IP versions.

    Ordered by port ID; of each port those of IPv4 first. With `matching`, each with the names of its security groups.
    """
    groups = groups_by_name(facts, matching)
    return _published_ports(facts.ports, facts.own_project_id, ipv6, tuple((g.id, name) for name, g in groups.items()))


@remembered("ports")
def _published_ports(
    ports: tuple[Port, ...], own_project_id: str, ipv6: bool, groups: tuple[tuple[str, str], ...]
) -> tuple[PublishedPort, ...]:
    name_by_id, exclusive = dict(groups), {port.id for port in exclusive_ports(ports)}
    found = (
        _published(
            port.id,
            port.mac,
            port.addresses,
            port.allowed_addresses,
            published_groups(port, name_by_id),
            port.id in exclusive,
            ipv6,
        )
        for port in sorted(ports, key=lambda p: p.id)
        if port.mac and not _is_ours(port, own_project_id)
    )
    return tuple(port for port in found if port is not None)


@lru_cache(maxsize=_REMEMBERED_PORTS)
def _published(
    id_: str,
    mac: str,
    fixed: tuple[str, ...],
    allowed: tuple[str, ...],
    groups: tuple[str, ...] | None,
    is_exclusive: bool,
    ipv6: bool,
) -> PublishedPort | None:
    """None without an address."""
    addresses = _addresses(fixed, allowed, ipv6=ipv6)[:MAX_ADDRESSES_PER_PORT]
    if not addresses:
        return None
    of_pairs = tuple(address for address in addresses if address not in fixed)
    return PublishedPort(
        id=id_,
        mac=mac.lower(),
        addresses=addresses,
        pair_addresses=of_pairs or None,
        exclusive=is_exclusive or None,
        groups=groups,
    )


def own_macs(facts: NetworkFacts) -> frozenset[str]:
    """MAC addresses of all ports of this cloud on the network but ours, also of those without an address."""
    return _own_macs(facts.ports, facts.own_project_id)


@remembered("ports")
def _own_macs(ports: tuple[Port, ...], own_project_id: str) -> frozenset[str]:
    return frozenset(port.mac.lower() for port in ports if port.mac and not _is_ours(port, own_project_id))


def port_on(gateway: Gateway | None, ports: Iterable[Port]) -> Port | None:
    """The port that is bound to that node; None if there is none, or if another one is bound elsewhere.

    A port that is still elsewhere is a fence: two nodes that forward one network are a loop.
    """
    bound = sorted(ports, key=lambda port: port.id)
    if gateway is None or not bound or any(port.host != gateway.host for port in bound):
        return None
    return bound[0]


def leave_node(attachment: Attachment, link_name: str, gateway: Gateway | None) -> tuple[Action, ...]:
    """Begin a move: take a node that is not the wanted one out of the Attachment's spec, before its port is deleted."""
    nodes = {port.node for port in attachment.spec.ports} | {attachment.spec.active_node or ""}
    if gateway is None or nodes <= {gateway.name, ""}:
        return ()
    return (ApplyObject(new_attachment(link_name, _disconnected(attachment.spec))),)


def delete_unused_ports(spec: AttachmentSpec, gateway: Gateway | None, facts: NetworkFacts) -> tuple[Action, ...]:
    """Delete attachment ports that the spec does not name, but for the one that it should name next."""
    ports = attachment_ports(facts)
    here = [port for port in ports if gateway is not None and port.host == gateway.host]
    named = {port.port_id for port in spec.ports} & {port.id for port in ports}
    kept = named or {port.id for port in here[:1]}
    return tuple(DeletePort(port.id) for port in ports if port.id not in kept)


def create_port(link_name: str, gateway: Gateway | None, facts: NetworkFacts) -> tuple[Action, ...]:
    """Create an attachment port bound to the active node, unless there is one here or anywhere else."""
    if gateway is None or facts.network is None or attachment_ports(facts):
        return ()
    marker = names.marker(link_name)
    return (CreateAttachmentPort(facts.network.id, gateway.host, f"isthmus-{gateway.name}", marker),)


def restore_port(link_name: str, facts: NetworkFacts) -> tuple[RestoreAttachmentPort, ...]:
    """Undo what somebody changed of our attachment ports, and of their descriptions, which tell what they are for."""
    marker = names.marker(link_name)
    changed = (p for p in attachment_ports(facts) if not p.passes_all_frames or p.description != marker)
    return tuple(RestoreAttachmentPort(port.id, marker) for port in changed)


def limited_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Our attachment ports to which the network's QoS policy applies; a policy of the port's own has precedence."""
    if facts.network is None or facts.network.qos_policy_id is None:
        return ()
    return tuple(port for port in attachment_ports(facts) if port.qos_policy_id is None)


def exempt_port(facts: NetworkFacts) -> tuple[ExemptAttachmentPort, ...]:
    """Exempt the link from limits that are meant for one machine."""
    return tuple(ExemptAttachmentPort(port.id) for port in limited_ports(facts))


def awaits_port(attachment: Attachment | None, facts: NetworkFacts | None) -> bool:
    """Whether the agent has connected the port, but Neutron did not report it as ACTIVE when it was last asked."""
    if attachment is None or facts is None:
        return False
    plugged = {node.node for node in attachment.status.nodes if node.plugged}
    awaited = {port.port_id for port in attachment.spec.ports if port.node in plugged}
    return any(port.id in awaited and port.status != "ACTIVE" for port in facts.ports)


def late_nodes(snapshot: Snapshot, attachment: Attachment) -> tuple[str, ...]:
    """Gateway nodes that may have something of the network, and have not applied the Attachment as it is now.

    Without any, nobody uses a tunnel ID that the Attachment no longer has. A node counts until its GatewayNode is
    deleted: its agent may be stopped.
    """
    observed = {entry.node: entry.observed_generation for entry in attachment.status.nodes}
    concerned = {*observed, *(port.node for port in attachment.spec.ports)}
    late = (node for node in concerned if observed.get(node) != attachment.metadata.generation)
    return tuple(sorted(node for node in late if snapshot.get(GatewayNode, node) is not None))


def attachment_spec(
    spec: AttachmentSpec,
    gateway: Gateway | None,
    facts: NetworkFacts,
    *,
    mtu: int | None,
    links: tuple[AttachmentLink, ...],
    gateway_addresses: tuple[str, ...],
    router_addresses: tuple[str, ...],
    local_gateway_addresses: tuple[str, ...] = (),
    direct_paths: tuple[DirectPath, ...] = (),
    owners: tuple[AddressOwner, ...] = (),
) -> AttachmentSpec:
    """The Attachment's spec as it should be now; without a bound port no node is active. The record is kept."""
    port = port_on(gateway, attachment_ports(facts))
    ports = (NodePort(node=gateway.name, port_id=port.id, mac=port.mac.lower()),) if port and gateway else ()
    return spec.model_copy(
        update={
            "mtu": mtu if mtu is not None else spec.mtu,
            "active_node": gateway.name if gateway and port else None,
            "ports": ports,
            "links": links if port else (),
            "direct_paths": direct_paths if port else (),
            "owners": owners if port else (),
            "gateway_addresses": gateway_addresses,
            "router_addresses": router_addresses,
            "local_gateway_addresses": local_gateway_addresses,
        }
    )


def path_to(
    snapshot: Snapshot, peer: CloudPeer, tunnel_id: int, remote_spec: ExpansionLinkSpec
) -> AttachmentLink | None:
    """The path to the peer: its active gateway for the network; None if its PeerLink does not have that gateway."""
    gateway = gateway_of(snapshot, peer, remote_spec.gateway)
    if gateway is None:
        return None
    return AttachmentLink(cloud_id=peer.spec.cloud_id, tunnel_id=tunnel_id, gateway=gateway)


def gateway_of(snapshot: Snapshot, peer: CloudPeer, name: str | None) -> PeerGateway | None:
    """The peer's gateway of that name; None if its PeerLink does not have it."""
    peer_link = remote_peer_link(snapshot, peer)
    return next((g for g in peer_link.spec.gateways if g.name == name), None) if peer_link else None


def member_paths(offer: Offer) -> tuple[MemberPath, ...]:
    """The paths to other members through the origin that may be used."""
    used = ((m.number, m.tunnel_id) for m in offer.members if not m.retired)
    return tuple(MemberPath(number=number, tunnel_id=tunnel_id) for number, tunnel_id in used if tunnel_id is not None)


def detach(attachment: Attachment, link_name: str, facts: NetworkFacts | None) -> tuple[Action, ...]:
    """Disconnect the network: remove it from the Attachment's spec and delete its attachment ports.

    Without its port nothing is forwarded, also if no agent runs.
    """
    spec = _disconnected(attachment.spec)
    apply: tuple[Action, ...] = () if spec == attachment.spec else (ApplyObject(new_attachment(link_name, spec)),)
    return apply + (delete_unused_ports(spec, None, facts) if facts is not None else ())


def _disconnected(spec: AttachmentSpec) -> AttachmentSpec:
    return spec.model_copy(update={"active_node": None, "ports": (), "links": (), "direct_paths": (), "owners": ()})


def _addresses(fixed: tuple[str, ...], allowed: tuple[str, ...], *, ipv6: bool) -> tuple[str, ...]:
    """The addresses of a port, and single ones of its allowed address pairs."""
    found = dict.fromkeys(a for a in (*fixed, *allowed) if "/" not in a)
    return tuple(sorted((a for a in found if ipv6 or ":" not in a), key=lambda a: ":" in a))


def _our_ports(device_owner: str, facts: NetworkFacts) -> tuple[Port, ...]:
    """Whatever their description, which anybody may edit: a network of Neutron has one link name."""
    return _ours_by_device_owner(facts.ports, facts.own_project_id).get(device_owner, ())


@remembered("ports")
def _ours_by_device_owner(ports: tuple[Port, ...], own_project_id: str) -> Mapping[str, tuple[Port, ...]]:
    ours = defaultdict[str, list[Port]](list)
    for port in sorted((p for p in ports if _is_ours(p, own_project_id)), key=lambda port: port.id):
        ours[port.device_owner].append(port)
    return {device_owner: tuple(of_owner) for device_owner, of_owner in ours.items()}


def _is_ours(port: Port, own_project_id: str) -> bool:
    return port.project_id == own_project_id and port.device_owner in {
        names.ATTACHMENT_DEVICE_OWNER,
        names.GATEWAY_DEVICE_OWNER,
        names.REMOTE_DEVICE_OWNER,
    }
