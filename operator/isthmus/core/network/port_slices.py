"""The ports that two clouds publish to each other: divided into slices, or in the link for peers that know no slices.

A port's bucket follows from its ID alone, so that one port's change rewrites one slice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from isthmus.core.federation.peer import has_feature, view_of
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.actions import Action, ApplyObject, DeleteObject
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_PORTS_PER_LINK,
    ExpansionLink,
    ExpansionLinkSpec,
    PublishedPort,
)
from isthmus.model.api.v1alpha1.portslice import MAX_BUCKETS, MAX_PORTS_PER_SLICE, PortSlice, PortSliceSpec
from isthmus.model.cached import cached_property
from isthmus.model.facts.peer import PeerView, Published
from isthmus.model.protocol import Feature
from isthmus.model.remembered import remembered

Actions = tuple[Action, ...]
_DIGEST_BITS = 32  # of the 256: more than any number of buckets needs


@dataclass(frozen=True, eq=False)
class RemotePorts:
    """The ports of a network at a peer. Equal only if they were read once: there may be thousands."""

    ports: tuple[PublishedPort, ...] = ()
    complete: bool = True
    """Whether these are all: what is missing from an incomplete list may exist all the same."""

    @cached_property
    def own(self) -> RemotePorts:
        """Without those that the peer publishes for other members of the network."""
        return RemotePorts(tuple(port for port in self.ports if port.member is None), self.complete)


def bucket_of(port_id: str, buckets: int) -> int:
    """The leading bits of the SHA-256 digest of the port's ID; `buckets` is a power of two, at most 256."""
    return _leading_bits(port_id) * buckets >> _DIGEST_BITS


@lru_cache(maxsize=1 << 16)
def _leading_bits(port_id: str) -> int:
    return int.from_bytes(sha256(port_id.encode()).digest()[: _DIGEST_BITS // 8])


def divided(ports: Iterable[PublishedPort], buckets: int) -> list[tuple[PublishedPort, ...]]:
    """The ports by bucket, in their order."""
    found: list[list[PublishedPort]] = [[] for _ in range(buckets)]
    for port in ports:
        found[bucket_of(port.id, buckets)].append(port)
    return [tuple(bucket) for bucket in found]


def bucket_count(ports: Sequence[PublishedPort], current: int | None) -> int:
    """How many buckets to use: as many as fit; fewer than now only if there is room for as many again.

    Every change of the number rewrites all slices, so it must not follow each port that comes and goes.
    """
    buckets = current or 1
    while buckets < MAX_BUCKETS and _fullest(ports, buckets) > MAX_PORTS_PER_SLICE:
        buckets *= 2
    while buckets > 1 and _fullest(ports, buckets // 2) <= MAX_PORTS_PER_SLICE // 2:
        buckets //= 2
    return buckets


def with_ports(
    snapshot: Snapshot, spec: ExpansionLinkSpec, ports: tuple[PublishedPort, ...], link: ExpansionLink | None
) -> ExpansionLinkSpec:
    """The spec of a link that publishes these ports: by slices if the peer reads them, else the first 500 in itself."""
    if not has_feature(snapshot, spec.peer_cloud_id, Feature.PORT_SLICES):
        return spec.model_copy(update={"ports": ports[:MAX_PORTS_PER_LINK], "port_buckets": None})
    buckets = bucket_count(ports, link.spec.port_buckets if link else None)
    return spec.model_copy(update={"ports": (), "port_buckets": buckets})


def slice_updates(snapshot: Snapshot, spec: ExpansionLinkSpec, ports: Iterable[PublishedPort]) -> Actions:
    """Write the slices that differ; done before the link that says how many there are."""
    if spec.port_buckets is None:
        return ()
    existing = {
        held.metadata.name: held.spec for held in snapshot.port_slices(spec.peer_cloud_id, spec.origin.link_name)
    }
    wanted = (_slice(spec, bucket, held) for bucket, held in enumerate(divided(ports, spec.port_buckets)))
    return tuple(ApplyObject(each) for each in wanted if existing.get(each.metadata.name) != each.spec)


def delete_unused_slices(snapshot: Snapshot, link_name: str, links: Iterable[ExpansionLink]) -> Actions:
    """Delete the slices that no link counts: of a withdrawn one, after a reduction, of a peer that became older."""
    counted = {link.spec.peer_cloud_id: link.spec.port_buckets or 0 for link in links}
    held = snapshot.port_slices_of(link_name)
    return tuple(DeleteObject(each) for each in held if each.spec.bucket >= counted.get(each.spec.peer_cloud_id, 0))


def remote_ports(view: PeerView, spec: ExpansionLinkSpec) -> RemotePorts:
    """The ports that a peer publishes beside this link of its."""
    return _remote_ports(view.port_slices.get(spec.origin.link_name, {}), spec)


@remembered("held", "spec")
def _remote_ports(held: Mapping[int, Published[PortSliceSpec]], spec: ExpansionLinkSpec) -> RemotePorts:
    if spec.port_buckets is None:
        return RemotePorts(spec.ports)
    found = [
        slice_.spec
        for bucket in range(spec.port_buckets)
        if (slice_ := held.get(bucket)) is not None
        and slice_.spec is not None
        and (slice_.spec.cloud_id, slice_.spec.buckets) == (spec.cloud_id, spec.port_buckets)
    ]
    return RemotePorts(tuple(port for each in found for port in each.ports), len(found) == spec.port_buckets)


def remote_ports_of(snapshot: Snapshot, cloud_id: str, spec: ExpansionLinkSpec | None) -> RemotePorts:
    """The ports of a peer's accepted link; none without one."""
    return remote_ports(view_of(snapshot, cloud_id), spec) if spec is not None else RemotePorts()


def _fullest(ports: Iterable[PublishedPort], buckets: int) -> int:
    return max(len(bucket) for bucket in divided(ports, buckets))


def _slice(spec: ExpansionLinkSpec, bucket: int, ports: tuple[PublishedPort, ...]) -> PortSlice:
    metadata = ObjectMeta(
        name=names.port_slice(spec.origin.link_name, bucket),
        namespace=names.peer_namespace(spec.peer_cloud_id),
        labels={names.PEER_LABEL: spec.peer_cloud_id},
    )
    return PortSlice(
        metadata=metadata,
        spec=PortSliceSpec(
            cloud_id=spec.cloud_id,
            peer_cloud_id=spec.peer_cloud_id,
            origin=spec.origin,
            bucket=bucket,
            buckets=spec.port_buckets or 1,
            ports=_fitting(ports),
        ),
    )


def _fitting(ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """As many as a slice holds: our own, then those of other members in turn, for each chooses the IDs of its ports."""
    if len(ports) <= MAX_PORTS_PER_SLICE:
        return ports
    seen: Counter[int | None] = Counter()
    ranked = []
    for port in ports:
        ranked.append((seen[port.member] if port.member is not None else -1, port))
        seen[port.member] += 1
    return tuple(port for _, port in sorted(ranked, key=lambda entry: entry[0])[:MAX_PORTS_PER_SLICE])
