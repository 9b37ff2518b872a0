"""What both roles share: the attachment port, the way to a peer, what the nodes are told, what we publish of ports."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.federation.peer import remote_peer_link
from isthmus.core.placement.gateways import Gateway, active_gateway, gateways
from isthmus.core.placement.mtu import inner_mtu
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.actions import Action, ApplyObject, CreateAttachmentPort, DeletePort
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink, AttachmentSpec, NodePort
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_ADDRESSES_PER_PORT,
    MAX_PORTS_PER_LINK,
    ExpansionLinkSpec,
    NetworkIdentity,
    PublishedPort,
)
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.facts.openstack import NetworkFacts, Port


def network_identity(link_name: str) -> NetworkIdentity:
    """Which network a name stands for."""
    cloud_id, _, network_id = link_name.partition(".")
    return NetworkIdentity(cloud_id=cloud_id, network_id=network_id)


def new_attachment(link_name: str, spec: AttachmentSpec) -> Attachment:
    """The Attachment of that network."""
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY}
    return Attachment(metadata=ObjectMeta(name=link_name, namespace=names.SYSTEM_NAMESPACE, labels=labels), spec=spec)


def gateway_for(snapshot: Snapshot, attachment: Attachment | None) -> Gateway | None:
    """The node that carries this network."""
    candidates = gateways(snapshot.all(GatewayNode), snapshot.own.gateway_cidrs)
    return active_gateway(candidates, attachment.spec.active_node if attachment else None)


def carried_mtu(gateway: Gateway) -> int:
    """The largest MTU that this node can carry."""
    return inner_mtu(gateway.underlay_mtu)


def attachment_ports(link_name: str, facts: NetworkFacts) -> tuple[Port, ...]:
    """Our attachment ports on the network: in our own project, with our device owner, with the name on record."""
    return _our_ports(names.ATTACHMENT_DEVICE_OWNER, link_name, facts)


def gateway_ports(link_name: str, facts: NetworkFacts) -> tuple[Port, ...]:
    """Our ports that reserve gateway addresses on the copy."""
    return _our_ports(names.GATEWAY_DEVICE_OWNER, link_name, facts)


def tenant_ports(facts: NetworkFacts) -> tuple[Port, ...]:
    """Ports that keep a network in use: not ours, and none that Neutron takes away by itself with the network."""
    return tuple(
        port
        for port in facts.ports
        if not _is_ours(port, facts) and port.device_owner not in {"network:dhcp", "network:distributed"}
    )


def published_ports(facts: NetworkFacts) -> tuple[PublishedPort, ...]:
    """The addresses in use in our part of the network, for the peer to tell whose an address is."""
    ports = (
        PublishedPort(id=port.id, mac=port.mac.lower(), addresses=addresses[:MAX_ADDRESSES_PER_PORT])
        for port in sorted(facts.ports, key=lambda p: p.id)
        if not _is_ours(port, facts) and (addresses := tuple(a for a in port.addresses if ":" not in a))
    )
    return tuple(ports)[:MAX_PORTS_PER_LINK]


def port_on(gateway: Gateway | None, ports: Iterable[Port]) -> Port | None:
    """The attachment port that is bound to that node."""
    bound = (port for port in ports if gateway is not None and port.host == gateway.host)
    return min(bound, key=lambda port: port.id, default=None)


def ensure_attachment_port(link_name: str, gateway: Gateway | None, facts: NetworkFacts) -> tuple[Action, ...]:
    """A port bound to the active node before anything is plugged there."""
    if gateway is None or facts.network is None or port_on(gateway, attachment_ports(link_name, facts)) is not None:
        return ()
    marker = names.marker(link_name)
    return (CreateAttachmentPort(facts.network.id, gateway.host, f"isthmus-{gateway.name}", marker),)


def attachment_spec(
    spec: AttachmentSpec,
    link_name: str,
    gateway: Gateway | None,
    facts: NetworkFacts,
    *,
    mtu: int | None,
    links: tuple[AttachmentLink, ...],
    gateway_addresses: tuple[str, ...],
) -> AttachmentSpec:
    """What the nodes are to do now; the record stays as it is."""
    port = port_on(gateway, attachment_ports(link_name, facts))
    ports = (NodePort(node=gateway.name, port_id=port.id, mac=port.mac.lower()),) if port and gateway else ()
    return spec.model_copy(
        update={
            "mtu": mtu if mtu is not None else spec.mtu,
            "active_node": gateway.name if gateway and port else None,
            "ports": ports,
            "links": links if port else (),
            "gateway_addresses": gateway_addresses,
        }
    )


def delete_unused_attachment_ports(link_name: str, spec: AttachmentSpec, facts: NetworkFacts) -> tuple[Action, ...]:
    """Attachment ports that the nodes are not told about (any more): they go last."""
    kept = {port.port_id for port in spec.ports}
    return tuple(DeletePort(port.id) for port in attachment_ports(link_name, facts) if port.id not in kept)


def path_to(snapshot: Snapshot, peer: CloudPeer, tunnel_id: int, theirs: ExpansionLinkSpec) -> AttachmentLink | None:
    """The way to the peer's part of the network: its active gateway, which its PeerLink must know."""
    remote_link = remote_peer_link(snapshot, peer)
    gateway = next((g for g in remote_link.spec.gateways if g.name == theirs.gateway), None) if remote_link else None
    if gateway is None:
        return None
    return AttachmentLink(cloud_id=peer.spec.cloud_id, tunnel_id=tunnel_id, gateway=gateway)


def detach(attachment: Attachment, link_name: str, facts: NetworkFacts | None) -> tuple[Action, ...]:
    """The stretch is cut: the nodes let go, and even if no agent runs, without its port nothing passes."""
    bare = attachment.spec.model_copy(update={"active_node": None, "ports": (), "links": ()})
    told: tuple[Action, ...] = () if bare == attachment.spec else (ApplyObject(new_attachment(link_name, bare)),)
    return told + (delete_unused_attachment_ports(link_name, bare, facts) if facts is not None else ())


def _our_ports(device_owner: str, link_name: str, facts: NetworkFacts) -> tuple[Port, ...]:
    marker = names.marker(link_name)
    return tuple(
        sorted(
            (
                port
                for port in facts.ports
                if _is_ours(port, facts) and port.device_owner == device_owner and port.description == marker
            ),
            key=lambda port: port.id,
        )
    )


def _is_ours(port: Port, facts: NetworkFacts) -> bool:
    return port.project_id == facts.own_project_id and port.device_owner in {
        names.ATTACHMENT_DEVICE_OWNER,
        names.GATEWAY_DEVICE_OWNER,
    }
