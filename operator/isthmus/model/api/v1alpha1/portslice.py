"""PortSlice: a part of the ports that one cloud publishes of one stretched network."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from isthmus.model.api.objects import AGE, ApiModel, CustomObject, Kind, PrinterColumn
from isthmus.model.types import BucketCount, CloudID

from .expansionlink import ImmutableOrigin, PublishedPort

MAX_PORTS_PER_SLICE = 256
MAX_BUCKETS = 256


class PortSliceSpec(ApiModel):
    """The ports of one bucket: those whose IDs' SHA-256 digests begin with its number."""

    cloud_id: CloudID
    """Cloud that publishes this slice."""
    peer_cloud_id: CloudID
    """Cloud that this slice is published for."""
    origin: ImmutableOrigin
    """Identity of the network; immutable."""
    bucket: Annotated[int, Field(ge=0, le=MAX_BUCKETS - 1)]
    """Number of the bucket, counting from 0: the leading bits of the SHA-256 digest of a port's ID."""
    buckets: BucketCount
    """Number of buckets, a power of two. It belongs to the link only if that has the same number."""
    ports: Annotated[tuple[PublishedPort, ...], Field(max_length=MAX_PORTS_PER_SLICE)] = ()
    """Ports of the bucket in the publishing cloud's part of the network, at most 256."""


class PortSlice(CustomObject):
    """A part of the ports of one stretched network."""

    registration: ClassVar[Kind] = Kind(
        kind="PortSlice",
        plural="portslices",
        short_names=("pslice",),
        namespaced=True,
        description=(
            "A part of the ports that this cloud publishes of one stretched network to one peer. "
            "Written by the controller; the peer may read it."
        ),
        columns=(
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            PrinterColumn(name="Bucket", type="integer", path=".spec.bucket"),
            PrinterColumn(name="Buckets", type="integer", path=".spec.buckets"),
            AGE,
        ),
    )
    spec: PortSliceSpec
