"""The origin's plan of one network, in stages: the first stage with actions is the plan of this round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from isthmus.core.federation.orphans import is_recorded
from isthmus.core.federation.peer import has_feature
from isthmus.core.network.allocation_pools import pool_updates, trim_unpublished, withdrawn_from_pools
from isthmus.core.network.attachment import (
    create_port,
    delete_unused_ports,
    detach,
    exempt_port,
    leave_node,
    network_identity,
    new_attachment,
    published_ports,
    restore_port,
)
from isthmus.core.network.drift import Repairs
from isthmus.core.network.known_addresses import changes_only_known_addresses
from isthmus.core.network.port_slices import delete_unused_slices, slice_updates, with_ports
from isthmus.core.network.publishers import Publisher
from isthmus.core.network.remote_ports import delete_remote_ports, remote_port_actions
from isthmus.core.network.repaired import with_events
from isthmus.core.network.stages import plan_in_stages
from isthmus.core.network.subnet_record import current
from isthmus.model import names
from isthmus.model.actions import Action, ApplyObject, DeleteObject, Plan, SetFinalizers, SetNetworkMTU
from isthmus.model.api.objects import finalizers_with, finalizers_without
from isthmus.model.api.v1alpha1.attachment import AttachmentSpec, Record
from isthmus.model.protocol import Feature

from .admission import claims
from .forwarding import node_of, wanted_attachment
from .record import differs, local_link
from .remote_ports import planned_remote_ports, ports_of_others, publishers_of, reserved_for
from .state import Origin

Actions = tuple[Action, ...]


def plan_origin(origin: Origin, repairs: Repairs) -> Plan:
    """See `plan_in_stages`."""
    plan = plan_in_stages(origin, _stages(origin), repairs, origin.raw_facts)
    needs_fresh_facts = not changes_only_known_addresses(plan.actions, origin.attachment)
    actions = plan.actions
    if origin.attachment is not None and origin.owner is not None:
        actions = tuple(with_events(actions, origin.attachment.spec, origin.raw_facts, origin.owner))
    return replace(plan, actions=actions, needs_fresh_facts=needs_fresh_facts)


def _stages(origin: Origin) -> tuple[Callable[[Origin], Actions], ...]:
    if origin.active_links:
        return (*_WITHDRAWAL, *_CONNECTION, *_EXPANSION, *_AT_LAST)
    if origin.target_peers:
        return (*_WITHDRAWAL, *_EXPANSION, *_CONNECTION, *_AT_LAST)
    return (*_WITHDRAWAL, *_TEARDOWN)


def _rebuild_record(origin: Origin) -> Actions:
    """Restore an Attachment that somebody has deleted or edited, before anything that needs its record."""
    facts = origin.raw_facts
    if not origin.record.subnets or facts is None or facts.network is None:
        return ()
    ids = {"project_id": facts.network.project_id, "network_id": facts.network.id}
    return _update_record(origin, origin.record.model_copy(update=ids))


def _withdraw(origin: Origin) -> Actions:
    """Withdraw offers that are not requested any more; the link keeps its tunnel ID until the peer has released it."""
    return tuple(
        ApplyObject(local_link(link.spec.model_copy(update=_WITHDRAWN), origin.annotations))
        for cloud_id, link in sorted(origin.active_links.items())
        if cloud_id not in origin.target_peers
    )


def _delete_unused_slices(origin: Origin) -> Actions:
    return delete_unused_slices(origin.snapshot, origin.name, origin.links.values())


def _delete_released_links(origin: Origin) -> Actions:
    """Delete withdrawn links once the peer has released the network, or its link is certainly absent, or forgotten.

    Not as long as one of our own gateway nodes may use its tunnel IDs: other networks may be given them then.
    """
    if origin.late_nodes:
        return ()
    return tuple(
        DeleteObject(link)
        for cloud_id, link in sorted(origin.links.items())
        if link.spec.state == "Withdrawn"
        and cloud_id not in origin.connected_peers
        and (origin.is_released(cloud_id) or is_recorded(origin.snapshot, cloud_id, link))
    )


def _detach(origin: Origin) -> Actions:
    return detach(origin.attachment, origin.name, origin.facts) if origin.attachment else ()


def _restore_pools(origin: Origin) -> Actions:
    if origin.facts is None or origin.facts.network is None:
        return ()
    return pool_updates(current(origin.record.subnets, origin.facts, origin.new_peers), origin.facts, ())


def _restore_mtu(origin: Origin) -> Actions:
    """Only if the MTU still has a value that we set; a later change by the tenant wins."""
    network = origin.facts.network if origin.facts else None
    original, ours = origin.record.original_mtu, origin.attachment.spec.mtu if origin.attachment else None
    if network is None or original is None or network.mtu not in {ours, origin.record.written_mtu}:
        return ()
    if network.mtu == original:
        return ()
    return (SetNetworkMTU(network.id, original, network.revision),)


def _delete_attachment(origin: Origin) -> Actions:
    """It says which gateway nodes may still hand frames on, for which they need no port of the network in Neutron."""
    was_handing_on = any(link.spec.offer is not None and link.spec.offer.members for link in origin.links.values())
    if origin.attachment is None or (was_handing_on and origin.late_nodes):
        return ()
    return (DeleteObject(origin.attachment),)


def _release_expansion(origin: Origin) -> Actions:
    held = (e for e in claims(origin.snapshot, origin.name) if names.FINALIZER in e.metadata.finalizers)
    return tuple(SetFinalizers(e, finalizers_without(e, names.FINALIZER)) for e in held)


def _release_other_claims(origin: Origin) -> Actions:
    """Release deleted expansions that do not own the network: they have nothing to wait for."""
    held = (e for e in claims(origin.snapshot, origin.name) if names.FINALIZER in e.metadata.finalizers)
    others = (e for e in held if e != origin.owner and e.metadata.deletion_timestamp)
    return tuple(SetFinalizers(e, finalizers_without(e, names.FINALIZER)) for e in others)


def _claim_expansion(origin: Origin) -> Actions:
    owner = origin.owner
    if owner is None or names.FINALIZER in owner.metadata.finalizers or owner.metadata.deletion_timestamp:
        return ()
    return (SetFinalizers(owner, finalizers_with(owner, names.FINALIZER)),)


def _write_record(origin: Origin) -> Actions:
    """Record the original state before anything is changed in OpenStack."""
    facts = origin.facts
    if facts is None or facts.network is None or not origin.target_peers:
        return ()
    record = Record(
        project_id=facts.network.project_id,
        network_id=facts.network.id,
        original_mtu=origin.original_mtu,
        written_mtu=origin.record.written_mtu,
        subnets=origin.growth.subnets,
    )
    return _update_record(origin, record)


def _shrink_pools(origin: Origin) -> Actions:
    if origin.facts is None:
        return ()
    return pool_updates(origin.record.subnets, origin.facts, origin.slice_holders, origin.shared.addresses)


def _trim_slices(origin: Origin) -> Actions:
    """Trim addresses off unpublished slices that were allocated before the pools were updated."""
    if origin.facts is None:
        return ()
    updates, subnets = trim_unpublished(origin.record.subnets, origin.facts, origin.published_ranges)
    if subnets == origin.record.subnets:
        return ()
    return (*updates, *_update_record(origin, origin.record.model_copy(update={"subnets": subnets})))


def _publish(origin: Origin) -> Actions:
    """Publish ports and link for every target peer; a new one only with all its slices and an unused tunnel ID."""
    publishers = publishers_of(origin)
    return tuple(a for cloud_id in sorted(origin.target_peers) for a in _publish_to(origin, cloud_id, publishers))


def _publish_to(origin: Origin, cloud_id: str, publishers: Mapping[str, Publisher]) -> Actions:
    if origin.facts is None:
        return ()
    record = withdrawn_from_pools(origin.record.subnets, origin.facts, origin.published_ranges)
    link, offered = origin.active_links.get(cloud_id), origin.offer_to(cloud_id, record)
    if offered is None:
        return ()
    is_ipv6 = has_feature(origin.snapshot, cloud_id, Feature.IPV6)
    ours = published_ports(origin.facts, ipv6=is_ipv6, matching=origin.matching_with(cloud_id))
    ports = ours + ports_of_others(origin, cloud_id, publishers)
    reserved = {"reserved_addresses": reserved_for(origin, cloud_id) or None}
    spec = with_ports(origin.snapshot, offered.model_copy(update=reserved), ports, link)
    wanted = local_link(spec, origin.annotations)
    return slice_updates(origin.snapshot, spec, ports) + ((ApplyObject(wanted),) if differs(link, wanted) else ())


def _publish_gateway(origin: Origin) -> Actions:
    """Publish another active node before anything else: from then on peers accept nothing from the previous one."""
    gateway = origin.gateway.name if origin.gateway else None
    wanted = {
        cloud_id: link.spec.model_copy(update={"gateway": gateway, "mtu": origin.offered_mtu(cloud_id)})
        for cloud_id, link in sorted(origin.active_links.items())
        if link.spec.gateway != gateway
    }
    return tuple(ApplyObject(local_link(spec, origin.annotations)) for spec in wanted.values())


def _leave_node(origin: Origin) -> Actions:
    return leave_node(origin.attachment, origin.name, node_of(origin)) if origin.attachment else ()


def _create_port(origin: Origin) -> Actions:
    if origin.attachment is None or origin.facts is None:
        return ()
    return create_port(origin.name, node_of(origin), origin.facts)


def _update_attachment(origin: Origin) -> Actions:
    attachment, wanted = origin.attachment, wanted_attachment(origin)
    if attachment is None or wanted is None or wanted == attachment.spec:
        return ()
    return (ApplyObject(new_attachment(origin.name, wanted)),)


def _delete_unused_ports(origin: Origin) -> Actions:
    if origin.attachment is None or origin.facts is None:
        return ()
    return delete_unused_ports(origin.attachment.spec, node_of(origin), origin.facts)


def _restore_port(origin: Origin) -> Actions:
    return restore_port(origin.name, origin.facts) if origin.facts else ()


def _set_mtu(origin: Origin) -> Actions:
    network = origin.facts.network if origin.facts else None
    wanted = origin.attachment.spec.mtu if origin.attachment else None
    if network is None or wanted is None or origin.agreed_mtu is None or network.mtu == wanted:
        return ()
    return (SetNetworkMTU(network.id, wanted, network.revision),)


def _exempt_port(origin: Origin) -> Actions:
    return exempt_port(origin.facts) if origin.facts else ()


def _remote_ports(origin: Origin) -> Actions:
    plan = planned_remote_ports(origin)
    return remote_port_actions(origin.name, origin.facts, plan) if origin.facts is not None and plan is not None else ()


def _delete_remote_ports(origin: Origin) -> Actions:
    return delete_remote_ports(origin.raw_facts)


def _update_record(origin: Origin, record: Record) -> Actions:
    if origin.attachment is not None and record == origin.attachment.spec.record:
        return ()
    new = AttachmentSpec(origin=network_identity(origin.name), role="Origin")
    spec = origin.attachment.spec if origin.attachment else new
    return (ApplyObject(new_attachment(origin.name, spec.model_copy(update={"record": record}))),)


_WITHDRAWN = {"state": "Withdrawn", "gateway": None, "ports": (), "port_buckets": None, "reserved_addresses": None}
_WITHDRAWAL = (_rebuild_record, _withdraw, _delete_unused_slices, _delete_released_links)
_TEARDOWN = (
    _release_other_claims,
    _detach,
    _restore_pools,
    _restore_mtu,
    _delete_remote_ports,
    _delete_attachment,
    _release_expansion,
)
# Planned first once the network is offered: nothing else that fails may prevent a move to another gateway node.
_CONNECTION = (
    _publish_gateway,
    _leave_node,
    _delete_unused_ports,
    _create_port,
    _update_attachment,
    _restore_port,
    _set_mtu,
)
_AT_LAST = (_exempt_port, _remote_ports)
_EXPANSION = (_release_other_claims, _claim_expansion, _write_record, _shrink_pools, _trim_slices, _publish)
