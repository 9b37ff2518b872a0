"""What the gateway nodes of the receiver have to forward for one network."""

from __future__ import annotations

from isthmus.core.network.attachment import attachment_spec, published_ports
from isthmus.core.network.known_addresses import addresses_of_origin, with_known_addresses
from isthmus.core.network.ownership import owners_of
from isthmus.core.network.port_slices import RemotePorts, remote_ports_of
from isthmus.core.network.publishers import Publisher
from isthmus.core.network.router_addresses import router_addresses
from isthmus.core.snapshot.index import is_accepted
from isthmus.model.api.v1alpha1.attachment import AddressOwner, AttachmentLink, AttachmentSpec
from isthmus.model.api.v1alpha1.expansionlink import Offer
from isthmus.model.facts.openstack import NetworkFacts

from .direct import direct_paths
from .replica import local_gateways
from .state import Receiver


def wanted_attachment(receiver: Receiver) -> AttachmentSpec | None:
    """What the gateway nodes have to do now; None until we accept, and without an Attachment or facts."""
    attachment, facts, offer = receiver.attachment, receiver.facts, receiver.offer
    if attachment is None or facts is None or offer is None or not is_accepted(receiver.link):
        return None
    gateway_addresses = tuple(sorted({*offer.router_addresses, *(s.gateway_ip for s in offer.subnets if s.gateway_ip)}))
    return attachment_spec(
        attachment.spec,
        receiver.gateway,
        facts,
        mtu=receiver.agreed_mtu,
        links=_paths(receiver, facts, attachment.spec, gateway_addresses),
        gateway_addresses=gateway_addresses,
        router_addresses=router_addresses(facts, gateway_addresses),
        local_gateway_addresses=local_gateways(receiver),
        owners=_owners(receiver, offer, facts, attachment.spec, gateway_addresses),
        direct_paths=direct_paths(receiver.snapshot, receiver.name, attachment, receiver.direct_members),
    )


def _paths(
    receiver: Receiver, facts: NetworkFacts, spec: AttachmentSpec, gateway_addresses: tuple[str, ...]
) -> tuple[AttachmentLink, ...]:
    """The path to the origin, if there is one, with what is known of it."""
    path, offer, remote_link = receiver.path(), receiver.offer, receiver.remote_link
    if path is None or offer is None or remote_link is None:
        return ()
    path = path.model_copy(update={"ipv6": offer.has_ipv6})
    theirs = remote_ports_of(receiver.snapshot, receiver.cloud_id, remote_link.spec).own
    ours = published_ports(facts)
    return (with_known_addresses(path, theirs, addresses_of_origin(offer), ours, gateway_addresses, spec.links),)


def _owners(
    receiver: Receiver, offer: Offer, facts: NetworkFacts, spec: AttachmentSpec, gateway_addresses: tuple[str, ...]
) -> tuple[AddressOwner, ...]:
    """Whose the addresses are: this cloud's own, and what the origin publishes of itself and other members."""
    remote_link = receiver.remote_link
    published = RemotePorts(complete=False)
    if remote_link is not None:
        published = remote_ports_of(receiver.snapshot, receiver.cloud_id, remote_link.spec)
    publishers = (Publisher(receiver.cloud_id, published, addresses_of_origin(offer)),)
    return owners_of(facts, publishers, gateway_addresses, spec.owners, offer.shared_addresses)
