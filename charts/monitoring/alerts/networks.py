"""Alerts about stretched networks."""

from __future__ import annotations

from typing import Final

from charts.monitoring.alert import Alert
from charts.monitoring.reasons import TROUBLE

_LOSS = "100 * rate(isthmus_link_probes_lost_total[10m]) / rate(isthmus_link_probes_total[10m])"

ALERTS: Final = (
    Alert(
        name="IsthmusLinksDown",
        expr='isthmus_links{state="down"} > 0',
        pending_minutes=5,
        severity="critical",
        summary="Stretched networks have no connection to a peer.",
        description="{{ $value }} links of {{ $labels.instance }} have no reply to their dataplane probes.",
    ),
    Alert(
        name="IsthmusProbeLoss",
        expr=f"{_LOSS} > $probe_loss_percent < 100",
        pending_minutes=10,
        severity="warning",
        summary="Frames of a stretched network are lost on the path to a peer.",
        description='{{ $value | printf "%.0f" }} % of the dataplane probes of {{ $labels.network }} to '
        "{{ $labels.peer }} are lost.",
    ),
    Alert(
        name="IsthmusNetworkNotReady",
        expr=f'max by (state) (isthmus_links{{state=~"{TROUBLE}"}}) > 0',
        pending_minutes=15,
        severity="warning",
        summary="Networks cannot be stretched for a reason that an administrator can mend.",
        description="{{ $value }} links are not Ready with reason {{ $labels.state }}.",
    ),
    Alert(
        name="IsthmusMTUTooLarge",
        expr="isthmus_network_mtu_bytes > on (instance, job) group_left () isthmus_tunnel_mtu_bytes",
        pending_minutes=15,
        severity="warning",
        summary="The MTU of a stretched network is larger than the tunnel carries.",
        description="{{ $labels.network }} has an MTU of {{ $value }} bytes, more than the tunnel interface of "
        "{{ $labels.instance }} carries: large packets are fragmented or lost.",
    ),
)
