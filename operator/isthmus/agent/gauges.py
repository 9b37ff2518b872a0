"""Sets the agent's metrics from the node's facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from isthmus.core.node.expiry import Expiry
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.inforce import tunnel_infos
from isthmus.core.node.pathchoice import paths_taken
from isthmus.core.placement.mtu import default_mtu
from isthmus.model.names import tunnel_port
from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import LinkKey, LinkTraffic, PlannedNetworks, Traffic
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.pipeline import Direction
from isthmus.model.node.tunnel import Vxlan
from isthmus.telemetry.metrics import (
    CERTIFICATE_EXPIRY,
    CERTIFICATE_WARNING,
    CHARON_UP,
    FIREWALL_DROPPED,
    GUARD_DROPPED,
    IPSEC_SAS,
    LINK_PROBES,
    LINK_PROBES_LOST,
    LINK_RTT,
    LINKS,
    NETWORK_BYTES,
    NETWORK_PACKETS,
    OVER_BANDWIDTH,
    PATH_MTU,
    RELAYED_BYTES,
    RELAYED_PACKETS,
    TUNNEL_INFO,
    TUNNEL_MTU,
    TUNNEL_UP,
    Labels,
    Metrics,
)

from .clamping import carried_by_interfaces
from .prober import ProbedLink


def _tunnel_mtu(facts: NodeFacts) -> int:
    """Of the tunnel that carries the largest packets; by VXLAN if there is none."""
    carried = carried_by_interfaces(facts.plan, facts.known_ike).values()
    own = facts.plan.addresses[0]
    return max(carried, default=default_mtu(own.address, own.mtu, Vxlan.HEADER_BYTES))


def publish_state(metrics: Metrics, facts: NodeFacts) -> None:
    """Set the metrics of charon, links and tunnels."""
    metrics.set(CHARON_UP, {(): facts.ike is not None})
    metrics.set(TUNNEL_MTU, {(): _tunnel_mtu(facts)} if facts.plan.addresses else {})
    down = len(facts.plan.networks.probe_macs) - facts.links_up
    metrics.set(LINKS, {("up",): facts.links_up, ("down",): down})
    sas: dict[Labels, float] = {}
    up: dict[Labels, float] = {}
    carried: dict[Labels, float] = {}
    planned = {connection.name: connection for connection in facts.plan.connections}
    for cloud_id, gateways in facts.plan.gateways.items():
        for gateway in gateways:
            key, name = (cloud_id, gateway.name), tunnel_port(cloud_id, gateway.name)
            state = facts.ike.states.get(name) if facts.ike else None
            if name in facts.carried_by_paths:
                carried[key] = facts.carried_by_paths[name]
            sas[key] = len(state.spis - facts.lost.get(name, frozenset())) if state else 0
            up[*key, "ike"] = state is not None and state.established
            up[*key, "esp"] = facts.esp_up(planned[name]) if name in planned else facts.carries(name)
            up[*key, "bfd"] = facts.bridge.bfd_up.get(name, False)
    expiries = facts.plan.expiries
    metrics.set(CERTIFICATE_EXPIRY, _first((e, e.lifetime.ends) for e in expiries))
    metrics.set(CERTIFICATE_WARNING, _first((e, e.lifetime.warns) for e in expiries))
    metrics.set(PATH_MTU, carried)
    metrics.set(IPSEC_SAS, sas)
    metrics.set(TUNNEL_INFO, dict.fromkeys(tunnel_infos(facts), 1))
    metrics.set(TUNNEL_UP, up)


def _first(times: Iterable[tuple[Expiry, datetime]]) -> Mapping[Labels, float]:
    """The first time for each peer and kind, in seconds since 1970."""
    found: dict[Labels, float] = {}
    for expiry, time in times:
        key = (expiry.cloud_id, expiry.kind)
        found[key] = min(time.timestamp(), found.get(key, float("inf")))
    return found


def publish_probes(metrics: Metrics, links: Mapping[LinkKey, ProbedLink]) -> None:
    """Set the metrics of the dataplane probes of links."""
    rtt_seconds = {key: link.rtt_seconds for key, link in links.items() if link.up}
    metrics.set(LINK_RTT, {key: seconds for key, seconds in rtt_seconds.items() if seconds is not None})
    metrics.set(LINK_PROBES, {key: link.sent for key, link in links.items()})
    metrics.set(LINK_PROBES_LOST, {key: link.lost for key, link in links.items()})


def network_mtus(inputs: NodeInputs, networks: PlannedNetworks) -> Mapping[Labels, float]:
    """The agreed MTU in bytes of each network that is forwarded, once there is one."""
    found = ((name, inputs.attachments.get(name)) for name in networks.by_name)
    mtus = ((name, attachment.spec.mtu) for name, attachment in found if attachment is not None)
    return {(name,): mtu for name, mtu in mtus if mtu is not None}


def member_paths(networks: PlannedNetworks, direct: Mapping[LinkKey, bool]) -> Mapping[Labels, float]:
    """The path to each other receiver of the networks that are forwarded."""
    taken = ((network.name, paths_taken(network, direct)) for network in networks)
    return {(name, member, path): 1 for name, paths in taken for member, path in paths.items()}


def publish_traffic(metrics: Metrics, links: Mapping[LinkKey, LinkTraffic]) -> None:
    """Set the counters of every link."""
    traffic = {
        (*key, direction): counted
        for key, link in links.items()
        for direction, counted in (("sent", link.sent), ("received", link.received))
    }
    metrics.set(NETWORK_BYTES, {labels: found.bytes for labels, found in traffic.items()})
    metrics.set(NETWORK_PACKETS, {labels: found.packets for labels, found in traffic.items()})


def publish_relayed(metrics: Metrics, relayed: Mapping[tuple[str, str, str], Traffic]) -> None:
    """Set the counters of what this cloud has handed on, by network, sender and receiver."""
    metrics.set(RELAYED_BYTES, {labels: found.bytes for labels, found in relayed.items()})
    metrics.set(RELAYED_PACKETS, {labels: found.packets for labels, found in relayed.items()})


def publish_guard(metrics: Metrics, dropped: Mapping[tuple[str, str, Drop], int]) -> None:
    """Set the counters of what br-cloud has dropped, by network, the peer that it came from, and reason."""
    metrics.set(GUARD_DROPPED, {(*sender, reason.label): frames for (*sender, reason), frames in dropped.items()})


def publish_over_bandwidth(metrics: Metrics, dropped: Mapping[tuple[str, Direction], int]) -> None:
    """Set the counters of what was dropped because a peer had its bandwidth."""
    metrics.set(OVER_BANDWIDTH, {(peer, direction.label): frames for (peer, direction), frames in dropped.items()})


def publish_drops(metrics: Metrics, dropped: Mapping[str, Traffic]) -> None:
    """Set the counters of the nftables table's rules; none where there is no table."""
    metrics.set(FIREWALL_DROPPED, {(counter,): traffic.packets for counter, traffic in dropped.items()})
