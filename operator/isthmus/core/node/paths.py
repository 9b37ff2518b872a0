"""What is known of the path to each gateway of a peer: it distinguishes the faults for which a connection is down.

Counters of charon and of the kernel are compared with those of the observation before. Only what follows from them is
reported, so that a connection that works is not written again with each packet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayPath
from isthmus.model.node.flows import PathKey, PlannedNetworks
from isthmus.model.node.ipsec import IkeConnection, IkeState, IkeView

from .facts import NodeFacts

_IKE_SILENT_SECONDS = {True: 15.0, False: 40.0}  # an initiator tries every 5 s, a responder every 30: Associations
_ESP_RECENT_SECONDS, _ESP_SILENT_SECONDS = 3.0, 10.0  # BFD sends every second at least, also while it is down
_NEVER = float("-inf")
_NO_STATE = IkeState(established=False)


@dataclass(frozen=True)
class Watch:
    """The counters of one connection, and the times at which they have changed, in seconds of a monotonic clock."""

    ike_packets: int = 0
    ike_at: float = _NEVER
    """When an IKE packet was received last."""
    ike_since: float | None = None
    """Since when there is no IKE SA; None while there is one."""
    esp_packets: int = 0
    esp_at: float = _NEVER
    """When an ESP packet was received last."""
    esp_since: float | None = None
    """Since when all ESP SAs are installed; None while they are not."""


@dataclass(frozen=True)
class FullSize:
    """The link of a connection on which frames of full size are sent, and whether they come back, if that is known."""

    link: PathKey
    probe_mac: str
    mtu: int
    passes: bool | None = None


def watched(before: Mapping[str, Watch], facts: NodeFacts, now: float) -> dict[str, Watch]:
    """The connections of the plan at this time; nothing while charon does not answer."""
    ike = facts.ike
    if ike is None:
        return {}
    return {
        connection.name: _watched(before.get(connection.name), connection, ike, facts.esp_up(connection), now)
        for connection in facts.plan.connections
    }


def _watched(before: Watch | None, connection: IkeConnection, ike: IkeView, esp_up: bool, now: float) -> Watch:
    state = ike.states.get(connection.name, _NO_STATE)
    ike_packets = ike.ike_packets.get(connection.ends.remote_address, 0)
    was = before or Watch(ike_packets=ike_packets, esp_packets=state.packets_in)
    return Watch(
        ike_packets=ike_packets,
        ike_at=now if ike_packets > was.ike_packets else was.ike_at,
        ike_since=None if state.established else now if was.ike_since is None else was.ike_since,
        esp_packets=state.packets_in,
        esp_at=now if state.packets_in > was.esp_packets else was.esp_at,
        esp_since=None if not esp_up else now if was.esp_since is None else was.esp_since,
    )


def paths(
    facts: NodeFacts,
    watches: Mapping[str, Watch],
    pings: Mapping[str, bool],
    full_sizes: Mapping[str, FullSize],
    now: float,
) -> dict[str, GatewayPath]:
    """By connection; `pings` are by address, and only of those that were tried. Empty while charon does not answer."""
    found = {}
    for connection in facts.plan.connections:
        name = connection.name
        if (watch := watches.get(name)) is not None:
            full_size, ike = full_sizes.get(name), _ike(watch, now, _IKE_SILENT_SECONDS[connection.initiator])
            found[name] = GatewayPath(
                ping=None if ike else pings.get(connection.ends.remote_address),
                ike=ike,
                esp=_esp(watch, now, bfd_up=facts.bridge.bfd_up.get(name, False)),
                peer_receives=_peer_receives(name, facts),
                mtu=full_size.mtu if full_size else None,
                full_size=full_size.passes if full_size else None,
            )
    return found


def to_ping(facts: NodeFacts) -> frozenset[str]:
    """Addresses of the gateways from which no IKE packet arrives; of one that is behind a NAT that of the NAT."""
    silent = {name for name, path in facts.paths.items() if path.ike is False}
    return frozenset(c.ends.remote_address for c in facts.plan.connections if c.name in silent)


def longest(networks: PlannedNetworks, attachments: Mapping[str, Attachment]) -> dict[str, FullSize]:
    """By connection, the link of the network with the greatest MTU."""
    found: dict[str, FullSize] = {}
    for candidate, tunnel_port in _links(networks, attachments):
        best = found.get(tunnel_port)
        if best is None or (best.mtu, best.link) < (candidate.mtu, candidate.link):
            found[tunnel_port] = candidate
    return found


def _links(networks: PlannedNetworks, attachments: Mapping[str, Attachment]) -> Iterator[tuple[FullSize, str]]:
    for network in networks:
        attachment = attachments.get(network.name)
        if attachment is not None and attachment.spec.mtu is not None:
            for link in (link for link in network.links if not link.is_handed_on):
                key = (network.name, link.path)
                yield FullSize(key, link.probe_mac, attachment.spec.mtu), link.tunnel_port


def _ike(watch: Watch, now: float, silent_seconds: float) -> bool | None:
    if watch.ike_since is None or now - watch.ike_at < silent_seconds:
        return True
    return False if now - watch.ike_since >= silent_seconds else None


def _esp(watch: Watch, now: float, *, bfd_up: bool) -> bool | None:
    if watch.esp_since is None:
        return None
    if bfd_up or now - watch.esp_at < _ESP_RECENT_SECONDS:
        return True
    silent_since = max(watch.esp_since, watch.esp_at)
    return False if now - silent_since >= _ESP_SILENT_SECONDS else None


def _peer_receives(name: str, facts: NodeFacts) -> bool | None:
    if facts.bridge.bfd_up.get(name, False):
        return True
    return False if name in facts.bridge.bfd_init else None
