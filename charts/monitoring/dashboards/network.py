"""One stretched network."""

from __future__ import annotations

from typing import Final

from charts.monitoring.dashboard import Dashboard, Panel, Query, Row, Variable

_OF_NETWORK: Final = '{network="$network"}'
_AT_ITS_NODE: Final = f"and on (instance, job) isthmus_network_mtu_bytes{_OF_NETWORK}"


def _by_direction(metric: str) -> str:
    return f"sum by (peer, direction) (rate({metric}{_OF_NETWORK}[$__rate_interval]))"


def _rate(metric: str) -> str:
    return f"sum by (peer) (rate({metric}{_OF_NETWORK}[$__rate_interval]))"


_TRAFFIC: Final = Row(
    "Traffic",
    (
        Panel(
            "Bits per second",
            "Sent to and received from each peer, including dataplane probes.",
            "bps",
            (Query(f"8 * {_by_direction('isthmus_network_bytes_total')}", "{{peer}} {{direction}}"),),
        ),
        Panel(
            "Packets per second",
            "Sent to and received from each peer, including dataplane probes.",
            "pps",
            (Query(_by_direction("isthmus_network_packets_total"), "{{peer}} {{direction}}"),),
        ),
        Panel(
            "Handed on between peers",
            "Bits per second that a peer sends to another one through this cloud, without dataplane probes.",
            "bps",
            (
                Query(
                    "8 * sum by (from_peer, to_peer) "
                    f"(rate(isthmus_relayed_bytes_total{_OF_NETWORK}[$__rate_interval]))",
                    "{{from_peer}} to {{to_peer}}",
                ),
            ),
        ),
    ),
)
_QUALITY: Final = Row(
    "Path to each peer",
    (
        Panel(
            "Round-trip time",
            "Of the last dataplane probe.",
            "s",
            (Query(f"max by (peer) (isthmus_link_rtt_seconds{_OF_NETWORK})", "{{peer}}"),),
            width=12,
            alerts=("IsthmusLinksDown",),
        ),
        Panel(
            "Lost dataplane probes",
            "In percent of those that were sent.",
            "percent",
            (
                Query(
                    f"100 * {_rate('isthmus_link_probes_lost_total')}\n/ {_rate('isthmus_link_probes_total')}",
                    "{{peer}}",
                ),
            ),
            width=12,
            alerts=("IsthmusProbeLoss",),
        ),
    ),
)
_NODE: Final = Row(
    "Its gateway node",
    (
        Panel(
            "MTU",
            "That of the network, and the largest packet that the tunnel interface of its gateway node carries.",
            "bytes",
            (
                Query(f"isthmus_network_mtu_bytes{_OF_NETWORK}", "network, at {{instance}}"),
                Query(f"isthmus_tunnel_mtu_bytes {_AT_ITS_NODE}", "tunnel interface of {{instance}}"),
            ),
            width=12,
            alerts=("IsthmusMTUTooLarge",),
        ),
        Panel(
            "Dropped packets per second",
            "Of all networks of its gateway node, by the rule of the nftables table.",
            "pps",
            (
                Query(
                    f"rate(isthmus_firewall_dropped_packets_total[$__rate_interval]) {_AT_ITS_NODE}",
                    "{{instance}}: {{rule}}",
                ),
            ),
            width=12,
            alerts=("IsthmusUnprotectedPackets",),
        ),
    ),
)

NETWORK: Final = Dashboard(
    uid="isthmus-network",
    title="Isthmus / Network",
    description="One stretched network, by its link name: ORIGIN.NETWORK-ID.",
    variables=(Variable("network", "Network", "isthmus_network_mtu_bytes", "network"),),
    rows=(_TRAFFIC, _QUALITY, _NODE),
)
