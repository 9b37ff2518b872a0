"""What the gateway nodes of the origin have to forward for one network."""

from __future__ import annotations

from collections.abc import Iterable

from isthmus.core.network.attachment import attachment_spec, published_ports
from isthmus.core.network.known_addresses import addresses_of_receiver, with_known_addresses
from isthmus.core.network.ownership import owners_of
from isthmus.core.network.port_slices import remote_ports_of
from isthmus.core.network.publishers import Publisher
from isthmus.core.network.router_addresses import router_addresses
from isthmus.core.placement.gateways import Gateway
from isthmus.model.api.v1alpha1.attachment import AddressOwner, AttachmentLink, AttachmentSpec
from isthmus.model.facts.openstack import NetworkFacts

from .gateway_choice import gateways_of_receiver
from .remote_ports import belonging_to
from .state import Origin


def node_of(origin: Origin) -> Gateway | None:
    """The node to connect; None once every peer has refused."""
    connected = any(not origin.is_refused(cloud_id) for cloud_id in origin.active_links)
    return origin.gateway if connected else None


def wanted_attachment(origin: Origin) -> AttachmentSpec | None:
    """What the gateway nodes have to do now; None without an Attachment or facts."""
    attachment, facts = origin.attachment, origin.facts
    if attachment is None or facts is None:
        return None
    spec = attachment_spec(
        attachment.spec,
        node_of(origin),
        facts,
        mtu=origin.agreed_mtu,
        links=tuple(_paths(origin, facts, attachment.spec)),
        gateway_addresses=_gateway_addresses(origin, facts),
        router_addresses=router_addresses(origin.raw_facts),
        owners=_owners(origin, facts, attachment.spec),
    )
    if spec.mtu != attachment.spec.mtu:
        record = spec.record.model_copy(update={"written_mtu": _written_mtu(origin)})
        return spec.model_copy(update={"record": record})
    return spec


def _paths(origin: Origin, facts: NetworkFacts, spec: AttachmentSpec) -> Iterable[AttachmentLink]:
    """The paths to all peers that have one, with what is known of them."""
    ours, gateway_addresses = published_ports(facts), _gateway_addresses(origin, facts)
    for cloud_id, link in sorted(origin.active_links.items()):
        path = origin.path(cloud_id)
        if path is not None and link.spec.offer is not None:
            theirs = remote_ports_of(origin.snapshot, cloud_id, origin.accepted_spec(cloud_id)).own
            belonging = addresses_of_receiver(link.spec.offer)
            gateways = gateways_of_receiver(link.spec.offer, origin.accepted_spec(cloud_id))
            path = path.model_copy(update={"gateway_addresses": gateways, "ipv6": link.spec.offer.has_ipv6})
            yield with_known_addresses(path, theirs, belonging, ours, gateway_addresses, spec.links)


def _owners(origin: Origin, facts: NetworkFacts, spec: AttachmentSpec) -> tuple[AddressOwner, ...]:
    """Whose the addresses are: this cloud's own, and those of the peers that have accepted the network."""
    publishers = (
        # A receiver speaks for itself alone.
        Publisher(cloud_id, remote_ports_of(origin.snapshot, cloud_id, accepted).own, belonging_to(origin, cloud_id))
        for cloud_id in origin.active_links
        if (accepted := origin.accepted_spec(cloud_id)) is not None
    )
    return owners_of(facts, publishers, _gateway_addresses(origin, facts), spec.owners, origin.shared.addresses)


def _gateway_addresses(origin: Origin, facts: NetworkFacts) -> tuple[str, ...]:
    of_ipv4 = {subnet.gateway_ip for subnet in facts.subnets if subnet.gateway_ip and subnet.ip_version == 4}
    return tuple(sorted(of_ipv4 | origin.ipv6_gateways))


def _written_mtu(origin: Origin) -> int | None:
    """The MTU that we set last: that of the network if it equals the Attachment's, else the recorded one."""
    network, before = origin.facts.network if origin.facts else None, origin.record.written_mtu
    ours = origin.attachment.spec.mtu if origin.attachment else None
    return network.mtu if network is not None and network.mtu == ours else before
