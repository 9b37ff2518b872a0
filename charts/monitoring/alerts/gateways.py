"""Alerts about gateway nodes."""

from __future__ import annotations

from typing import Final

from charts.monitoring.alert import Alert

_READY = "max by (gateway) (isthmus_gateway_ready)"

ALERTS: Final = (
    Alert(
        name="IsthmusGatewayNotReady",
        expr=f"{_READY} == 0",
        pending_minutes=5,
        severity="critical",
        summary="A gateway node cannot forward.",
        description="Gateway node {{ $labels.gateway }} is not Ready, or its agent does not renew its Lease.",
    ),
    Alert(
        name="IsthmusNoStandbyGateway",
        expr=f"sum({_READY}) == 1 and count({_READY}) > 1",
        pending_minutes=15,
        severity="warning",
        summary="Only one gateway node is left that can forward.",
        description="No other gateway node can take over when the last one fails.",
    ),
    Alert(
        name="IsthmusCharonDown",
        expr="isthmus_charon_up == 0",
        pending_minutes=2,
        severity="critical",
        summary="charon does not answer on a gateway node.",
        description="charon does not answer the agent {{ $labels.instance }}. Traffic passes until the existing SAs "
        "expire.",
    ),
    Alert(
        name="IsthmusUnprotectedPackets",
        expr='rate(isthmus_firewall_dropped_packets_total{rule=~"unprotected_.+"}[5m])'
        " > $unprotected_packets_per_second",
        pending_minutes=10,
        severity="warning",
        summary="A gateway node drops tunnel packets that ESP does not protect.",
        description="Rule {{ $labels.rule }} of {{ $labels.instance }} drops "
        '{{ $value | printf "%.1f" }} packets a second.',
    ),
)
