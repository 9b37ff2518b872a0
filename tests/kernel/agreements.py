"""What both clouds publish to each other, changed after `Side.introduce`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.model import names
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.nodeobjects import published_spec
from tests.kernel.side import Published, Side

Changes = Mapping[str, Any]
"""By path, such as `tunnel.mode`; what is None is not published."""


def publish(sides: tuple[Side, Side], changes: Mapping[str, Changes]) -> None:
    """Have both controllers write what both clouds publish: VXLAN, transport mode and a key, but for these changes.

    `changes` are by the name of the side whose cloud publishes them.
    """
    for side, other in (sides, sides[::-1]):
        publish_to(side, other, changes.get(side.name, {}), changes.get(other.name, {}))


def publish_to(side: Side, other: Published, ours: Changes, theirs: Changes) -> None:
    """The same of one side, whatever runs at the other one."""
    cloud, peer = f"cloud-{side.name}", f"cloud-{other.name}"
    own, seen = _spec(cloud, peer, side.gateway, ours), _spec(peer, cloud, other.gateway, theirs)
    metadata = {"name": cloud, "namespace": names.peer_namespace(peer)}
    read = {"uid": "u", "generation": 1, "firstSeen": "2026-01-01T00:00:00Z", "spec": seen}
    link = PeerLink.from_wire({"metadata": metadata, "spec": own, "status": {"peer": read}})
    side.controller.apply(link)
    side.controller.apply_status(link)
    side.watch.wake()


def connection_of(side: Side) -> GatewayConnection | None:
    """What the node reports of its only connection, if it has one."""
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return next(iter(found.status.connections), None) if found is not None else None


def reason_of(side: Side) -> str:
    """Why the connection is as it is; empty if there is none."""
    found = connection_of(side)
    return found.reason if found is not None else ""


def _spec(cloud: str, peer: str, gateway: dict[str, Any], changes: Changes) -> dict[str, Any]:
    spec = published_spec(cloud, peer, gateway)
    for path, value in changes.items():
        *parents, last = path.split(".")
        where = spec
        for parent in parents:
            where = where[parent]
        where[last] = value
        if value is None:
            del where[last]
    return spec
