"""The record as far as our own links imply it: what was published never changes, whatever happens to the Attachment.

Somebody may delete the Attachment, or edit it. Then the slices are those of the offers, and the original pools are the
present ones together with the slices and the shared addresses. Annotations of the links say which of these had been
outside the pools, and the original MTU.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_network

from isthmus.core.network.addressing import (
    Spans,
    contains,
    intersect,
    merged,
    ranges,
    span_of,
    spans_of,
    spans_of_addresses,
    subtract,
)
from isthmus.core.network.subnet_record import new_entry, withheld
from isthmus.core.network.subnet_rules import hosts_of
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import AddressRange, PeerSlice, Record, SubnetRecord
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkSpec
from isthmus.model.facts.openstack import NetworkFacts, Subnet
from isthmus.model.names import ORIGINAL_MTU_ANNOTATION, OUTSIDE_POOLS_ANNOTATION, PEER_LABEL, peer_namespace
from isthmus.model.types import MINIMUM_MTU

_MAXIMUM_MTU = 65_535


def link_annotations(record: Record, original_mtu: int | None) -> dict[str, str]:
    """What our links keep for a record that is lost, besides what they publish."""
    entries = record.subnets
    outside = merged(span for e in entries for span in subtract(withheld(e), spans_of(e.original_pools)))
    mtu = {ORIGINAL_MTU_ANNOTATION: str(original_mtu)} if original_mtu is not None else {}
    text = ",".join(f"{range_.first}-{range_.last}" for range_ in ranges(outside))
    return mtu | ({OUTSIDE_POOLS_ANNOTATION: text} if text else {})


def local_link(spec: ExpansionLinkSpec, annotations: Mapping[str, str]) -> ExpansionLink:
    """Our link as an object to apply."""
    metadata = ObjectMeta(
        name=spec.origin.link_name,
        namespace=peer_namespace(spec.peer_cloud_id),
        labels={PEER_LABEL: spec.peer_cloud_id},
        annotations=annotations,
    )
    return ExpansionLink(metadata=metadata, spec=spec)


def differs(link: ExpansionLink | None, wanted: ExpansionLink) -> bool:
    """Whether our link has to be applied. An annotation that is not wanted may be somebody else's, and stays then."""
    return (
        link is None
        or link.spec != wanted.spec
        or not wanted.metadata.annotations.items() <= link.metadata.annotations.items()
    )


def with_published(
    record: Record, links: Iterable[ExpansionLink], facts: NetworkFacts | None, shared: Collection[str] = ()
) -> Record:
    """The record with the slices that these links publish, and the original MTU if it lacks that."""
    links = tuple(link for link in links if link.spec.offer is not None)
    subnets = {entry.id: entry for entry in record.subnets}
    for subnet in facts.subnets if facts else ():
        published = tuple(range_ for link in links for range_ in _ranges(link, subnet.id))
        if published:
            entry = subnets.get(subnet.id) or _new_entry(subnet, published, shared, links)
            subnets[subnet.id] = _with_slices(entry, published)
    update: dict[str, object] = {"subnets": tuple(subnets.values())}
    if record.original_mtu is None:
        known = (mtu for link in links if (mtu := _original_mtu(link)) is not None)
        update["original_mtu"] = next(known, None)
        update["written_mtu"] = min((link.status.mtu for link in links if link.status.mtu), default=record.written_mtu)
    return record.model_copy(update=update)


def _ranges(link: ExpansionLink, subnet_id: str) -> tuple[PeerSlice, ...]:
    offered = (subnet for subnet in (link.spec.offer.subnets if link.spec.offer else ()) if subnet.id == subnet_id)
    cloud_id = link.spec.peer_cloud_id
    return tuple(PeerSlice(cloud_id=cloud_id, first=r.first, last=r.last) for subnet in offered for r in subnet.ranges)


def _new_entry(
    subnet: Subnet, slices: Iterable[PeerSlice], shared: Iterable[str], links: Iterable[ExpansionLink]
) -> SubnetRecord:
    hosts = hosts_of(ip_network(subnet.cidr))
    ours = tuple(address for address in shared if contains(hosts, address))
    outside = merged(span for link in links for span in _outside_pools(link))
    taken = subtract(merged((*spans_of(slices), *spans_of_addresses(ours))), outside)
    return new_entry(subnet, ranges(merged((*spans_of(subnet.pools), *taken))), ours)


def _with_slices(entry: SubnetRecord, published: Iterable[PeerSlice]) -> SubnetRecord:
    """For each peer its published ranges, and after them those that are recorded and not yet published."""
    by_peer: dict[str, list[PeerSlice]] = {range_.cloud_id: [] for range_ in (*entry.slices, *published)}
    for range_ in published:
        by_peer[range_.cloud_id].append(range_)
    for range_ in entry.slices:
        known = by_peer[range_.cloud_id]
        if not intersect((span_of(range_),), spans_of(known)):
            known.append(range_)
    slices = tuple(range_ for known in by_peer.values() for range_ in known)
    return entry.model_copy(update={"slices": slices})


def _outside_pools(link: ExpansionLink) -> Spans:
    """Nothing if somebody has written anything else there."""
    found = (text.partition("-") for text in link.metadata.annotations.get(OUTSIDE_POOLS_ANNOTATION, "").split(","))
    try:
        return spans_of(AddressRange(first=first, last=last) for first, _, last in found)
    except ValueError:
        return ()


def _original_mtu(link: ExpansionLink) -> int | None:
    text = link.metadata.annotations.get(ORIGINAL_MTU_ANNOTATION, "")
    found = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MAXIMUM_MTU)) else 0
    return found if MINIMUM_MTU <= found <= _MAXIMUM_MTU else None
