"""All peers on one screen: agreements, layers of the tunnels, traffic."""

from __future__ import annotations

from typing import Final

from charts.monitoring.dashboard import Dashboard, Panel, Query, Row, Variable

_OF_PEER: Final = '{peer=~"$peer"}'

_STATE: Final = Row(
    "State",
    (
        Panel(
            "Alerts",
            "Alerts of Isthmus that are pending or fire.",
            "short",
            (Query('ALERTS{alertname=~"Isthmus.+"}', "{{alertname}}", in_trouble=True),),
            kind="table",
            width=12,
        ),
        Panel(
            "Peers by state",
            "CloudPeers by the reason of condition Ready.",
            "short",
            (Query("max by (state) (isthmus_peers)", "{{state}}"),),
            kind="stat",
            width=6,
            alerts=("IsthmusPeerNotReady",),
        ),
        Panel(
            "Links by state",
            "Links of stretched networks by the reason of condition Ready, as the controller sees them.",
            "short",
            (Query('max by (state) (isthmus_links{state!~"up|down"})', "{{state}}"),),
            kind="stat",
            width=6,
            alerts=("IsthmusNetworkNotReady",),
        ),
    ),
)
_PATHS: Final = Row(
    "Gateway nodes and tunnels",
    (
        Panel(
            "Gateway nodes",
            "Whether each gateway node of this cloud can forward and its agent renews its Lease.",
            "bool",
            (Query("max by (gateway) (isthmus_gateway_ready)", "{{gateway}}"),),
            kind="state-timeline",
            alerts=("IsthmusGatewayNotReady", "IsthmusNoStandbyGateway"),
        ),
        Panel(
            "Layers of the tunnels",
            "IKE, ESP and BFD from each agent to each gateway of the peers.",
            "bool",
            (Query(f"isthmus_tunnel_up{_OF_PEER}", "{{instance}} to {{peer}}/{{gateway}}: {{layer}}"),),
            kind="state-timeline",
            width=16,
            alerts=("IsthmusTunnelDown", "IsthmusIKEDown"),
        ),
        Panel(
            "ESP SAs",
            "SAs that charon lists and the kernel has; four for each tunnel, more while they are renewed.",
            "short",
            (Query(f"isthmus_ipsec_sas{_OF_PEER}", "{{instance}} to {{peer}}/{{gateway}}"),),
        ),
        Panel(
            "What protects the tunnels",
            "By the SAs in force: mode of ESP, NAT, ciphers, key exchange; nothing where there is no SA.",
            "short",
            (Query(f"isthmus_tunnel_info{_OF_PEER}", "{{instance}} to {{peer}}/{{gateway}}"),),
            kind="table",
            width=24,
        ),
        Panel(
            "Links up and down",
            "Links by the result of their dataplane probes, as the agents see them.",
            "short",
            (Query('sum by (instance, state) (isthmus_links{state=~"up|down"})', "{{instance}}: {{state}}"),),
            alerts=("IsthmusLinksDown",),
        ),
        Panel(
            "charon",
            "Whether charon answers on each gateway node.",
            "bool",
            (Query("isthmus_charon_up", "{{instance}}"),),
            kind="state-timeline",
            alerts=("IsthmusCharonDown",),
        ),
    ),
)
_TRAFFIC: Final = Row(
    "Traffic",
    (
        Panel(
            "Bits per second",
            "Traffic of all stretched networks by peer, including dataplane probes.",
            "bps",
            (
                Query(
                    f"8 * sum by (peer, direction) (rate(isthmus_network_bytes_total{_OF_PEER}[$__rate_interval]))",
                    "{{peer}} {{direction}}",
                ),
            ),
        ),
        Panel(
            "Round-trip time",
            "Of the dataplane probes: the mean and the longest of all networks.",
            "s",
            (
                Query(f"avg by (peer) (isthmus_link_rtt_seconds{_OF_PEER})", "{{peer}} mean"),
                Query(f"max by (peer) (isthmus_link_rtt_seconds{_OF_PEER})", "{{peer}} longest"),
            ),
        ),
        Panel(
            "Lost dataplane probes",
            "Of all networks, in percent.",
            "percent",
            (
                Query(
                    f"100 * sum by (peer) (rate(isthmus_link_probes_lost_total{_OF_PEER}[$__rate_interval]))\n"
                    f"/ sum by (peer) (rate(isthmus_link_probes_total{_OF_PEER}[$__rate_interval]))",
                    "{{peer}}",
                ),
            ),
            alerts=("IsthmusProbeLoss",),
        ),
    ),
)
_AGREEMENTS: Final = Row(
    "Agreements",
    (
        Panel(
            "Time since the last read",
            "Since the peer's links were last read completely.",
            "s",
            (Query(f"time() - max by (peer) (isthmus_peer_last_read_timestamp_seconds{_OF_PEER} > 0)", "{{peer}}"),),
            alerts=("IsthmusPeerNotRead",),
        ),
        Panel(
            "Credential ends in",
            "Time until the token ends that the peer is read with.",
            "s",
            (
                Query(
                    f"max by (peer) (isthmus_peer_credential_expiry_timestamp_seconds{_OF_PEER}) - time()", "{{peer}}"
                ),
            ),
            alerts=("IsthmusCredentialExpiring",),
        ),
        Panel(
            "Certificates expire in",
            "Time until the first certificate, CA or CRL of any gateway expires that IKE with the peer uses.",
            "s",
            (
                Query(
                    f"min by (peer, kind) (isthmus_certificate_expiry_timestamp_seconds{_OF_PEER}) - time()",
                    "{{peer}} {{kind}}",
                ),
            ),
            alerts=("IsthmusCertificateExpiring",),
        ),
        Panel(
            "Tunnel IDs in use",
            "Of those that this cloud may allocate for the peer, in percent.",
            "percent",
            (
                Query(
                    f"100 * max by (peer) (isthmus_tunnel_ids_used{_OF_PEER}) / max by (peer) (isthmus_tunnel_ids)",
                    "{{peer}}",
                ),
            ),
            alerts=("IsthmusTunnelIDsNearlyUsedUp",),
        ),
    ),
)

FEDERATION: Final = Dashboard(
    uid="isthmus-federation",
    title="Isthmus / Federation",
    description="Peers of this cloud: agreements, tunnels, traffic.",
    variables=(Variable("peer", "Peer", "isthmus_tunnel_ids", "peer", has_all=True),),
    rows=(_STATE, _PATHS, _TRAFFIC, _AGREEMENTS),
)
