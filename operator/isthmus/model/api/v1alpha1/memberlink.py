"""MemberLink: what two receivers of one network publish to each other, to reach each other by their own tunnel."""

from __future__ import annotations

from typing import ClassVar

from isthmus.model.api.objects import AGE, ApiModel, CustomObject, Kind, PrinterColumn
from isthmus.model.types import CloudID, GatewayName, TunnelID

from .expansionlink import ImmutableOrigin


class MemberLinkSpec(ApiModel):
    """The publishing cloud's end of a direct path between two receivers of one network.

    The cloud whose ID sorts first allocates the tunnel ID, out of its own part of the range of the two clouds. The
    other one publishes that tunnel ID, too, as long as one of its gateway nodes may use it.
    """

    cloud_id: CloudID
    """Cloud that publishes this link."""
    peer_cloud_id: CloudID
    """Cloud that this link is published for."""
    origin: ImmutableOrigin
    """Identity of the network; immutable."""
    tunnel_id: TunnelID
    """Tunnel ID of the network on the tunnel between the two clouds."""
    retired: bool = False
    """Not to be used any more. It stays until no gateway node of either cloud uses the tunnel ID."""
    gateway: GatewayName | None = None
    """Active gateway of the network, one of the PeerLink's gateways; absent while there is none."""


class MemberLink(CustomObject):
    """This cloud's end of a direct path to another receiver of one network."""

    registration: ClassVar[Kind] = Kind(
        kind="MemberLink",
        plural="memberlinks",
        short_names=("mlink",),
        namespaced=True,
        description=(
            "This cloud's end of a direct path to another receiver of one network, which the network's origin has "
            "named. Written by the controller; the peer may read it."
        ),
        columns=(
            PrinterColumn(name="Peer", type="string", path=".spec.peerCloudID"),
            PrinterColumn(name="Tunnel-ID", type="integer", path=".spec.tunnelID"),
            PrinterColumn(name="Retired", type="boolean", path=".spec.retired"),
            PrinterColumn(name="Gateway", type="string", path=".spec.gateway"),
            AGE,
        ),
    )
    spec: MemberLinkSpec
