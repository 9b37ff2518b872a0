"""At a receiver: remote ports for the machines of the origin, and of the other members that it publishes ports of."""

from __future__ import annotations

from isthmus.core.federation.peer import agreement_with, has_feature
from isthmus.core.network.addressing import Spans, contains
from isthmus.core.network.attachment import remote_ports
from isthmus.core.network.known_addresses import addresses_of_origin, addresses_of_receiver
from isthmus.core.network.port_slices import RemotePorts, remote_ports_of
from isthmus.core.network.publishers import Publisher, listed_addresses, with_moved
from isthmus.core.network.remote_ports import RemotePortPlan, plan_remote_ports
from isthmus.core.network.security_groups import groups_by_name
from isthmus.core.snapshot.index import is_accepted
from isthmus.model.facts.openstack import Port
from isthmus.model.protocol import Feature
from isthmus.model.remembered import remembered

from .state import Receiver


def planned_remote_ports(receiver: Receiver) -> RemotePortPlan | None:
    """What is missing and what is too much of the remote ports; None without a replica that we accept."""
    facts, offer = receiver.facts, receiver.offer
    if facts is None or facts.network is None or offer is None or receiver.intent != "Replicate":
        return None
    if not is_accepted(receiver.link):
        return None
    limit = receiver.snapshot.own.remote_ports_per_network
    publisher = Publisher(receiver.cloud_id, _ports(receiver), addresses_of_origin(offer))
    publishers = with_moved((publisher,), facts, offer.shared_addresses)
    groups = groups_by_name(facts, receiver.group_matching)
    return plan_remote_ports(facts, publishers if limit else (), limit, groups)


def reserved_addresses(receiver: Receiver) -> tuple[str, ...]:
    """Addresses of this cloud's slices that remote ports have: their machines are in other clouds now."""
    if receiver.facts is None or receiver.offer is None:
        return ()
    return _addresses_within(remote_ports(receiver.facts), addresses_of_receiver(receiver.offer))


@remembered("ports")
def _addresses_within(ports: tuple[Port, ...], slices: Spans) -> tuple[str, ...]:
    return listed_addresses({a for port in ports for a in port.addresses if contains(slices, a)})


def _ports(receiver: Receiver) -> RemotePorts:
    snapshot, peer = receiver.snapshot, receiver.peer
    if receiver.remote_link is None or peer is None:
        return RemotePorts(complete=False)
    if not has_feature(snapshot, receiver.cloud_id, Feature.REMOTE_PORTS):
        return RemotePorts(complete=agreement_with(snapshot, peer) is not None)
    return remote_ports_of(snapshot, receiver.cloud_id, receiver.remote_link.spec)
