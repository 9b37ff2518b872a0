"""Alerts about agreements with peers, and the tunnels to them."""

from __future__ import annotations

from typing import Final

from charts.monitoring.alert import Alert
from charts.monitoring.reasons import TROUBLE

ALERTS: Final = (
    Alert(
        name="IsthmusPeerNotRead",
        expr="time() - max by (peer) (isthmus_peer_last_read_timestamp_seconds) > $peer_read_seconds",
        pending_minutes=5,
        severity="warning",
        summary="The API of a peer cannot be read.",
        description="The links that {{ $labels.peer }} publishes have not been read completely for a long time, or "
        "not since the controller started. What is stretched keeps working; no change of the peer is seen.",
    ),
    Alert(
        name="IsthmusPeerNotReady",
        expr=f'max by (state) (isthmus_peers{{state=~"{TROUBLE}"}}) > 0',
        pending_minutes=15,
        severity="warning",
        summary="An agreement with a peer is not in force.",
        description="{{ $value }} CloudPeers are not Ready with reason {{ $labels.state }}.",
    ),
    Alert(
        name="IsthmusCredentialExpiring",
        expr="max by (peer) (isthmus_peer_credential_expiry_timestamp_seconds) - time()"
        " < 86400 * $credential_expiry_days",
        pending_minutes=15,
        severity="warning",
        summary="The credential with which a peer is read ends soon, or has ended.",
        description="The credential for {{ $labels.peer }} ends in {{ $value | humanizeDuration }}; a negative time "
        "means that it has ended. After its end no change of the peer is seen.",
    ),
    Alert(
        name="IsthmusCertificateExpiring",
        # The agent says from when on, as for condition CertificateExpiring: it depends on the lifetime.
        expr='isthmus_certificate_expiry_timestamp_seconds{kind!="CRL"} - time()\n'
        "and isthmus_certificate_expiry_warning_timestamp_seconds <= time()",
        pending_minutes=15,
        severity="warning",
        summary="A certificate that IKE with a peer uses expires soon, or has expired.",
        description="The {{ $labels.kind }} for {{ $labels.peer }} on {{ $labels.instance }} expires in "
        "{{ $value | humanizeDuration }}; a negative time means that it has expired. From then on no new SA is "
        "authenticated.",
    ),
    Alert(
        name="IsthmusTunnelDown",
        expr='isthmus_tunnel_up{layer="bfd"} == 0',
        pending_minutes=2,
        severity="critical",
        summary="No traffic passes to a gateway of a peer.",
        description="BFD from {{ $labels.instance }} to gateway {{ $labels.gateway }} of {{ $labels.peer }} is down.",
    ),
    Alert(
        name="IsthmusIKEDown",
        expr='isthmus_tunnel_up{layer="ike"} == 0\nunless ignoring (layer) isthmus_tunnel_up{layer="bfd"} == 0',
        pending_minutes=10,
        severity="warning",
        summary="The IKE SA with a gateway of a peer is down, while traffic still passes.",
        description="{{ $labels.instance }} has no IKE SA with gateway {{ $labels.gateway }} of {{ $labels.peer }}. "
        "Traffic passes until the existing ESP SAs expire.",
    ),
    Alert(
        name="IsthmusTunnelIDsNearlyUsedUp",
        expr="100 * max by (peer) (isthmus_tunnel_ids_used) / max by (peer) (isthmus_tunnel_ids)"
        " > $tunnel_id_use_percent",
        pending_minutes=15,
        severity="warning",
        summary="Nearly all tunnel IDs for a peer are allocated.",
        description='{{ $value | printf "%.0f" }} % of the tunnel IDs that this cloud may allocate for '
        "{{ $labels.peer }} are allocated. Without a free one no further network can be stretched to that peer.",
    ),
)
