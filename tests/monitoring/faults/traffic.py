"""Faults of gateway nodes, peers and networks."""

from __future__ import annotations

from typing import Final

from tests.monitoring.series import (
    AGENTS,
    CLOCK_STOPS,
    CONTROLLER,
    FAULT_MINUTES,
    certificate,
    grows,
    key,
    then,
    tunnel,
)

from .model import IN, Fault, Firing

GW: Final = AGENTS[0]
NETWORK: Final = {"network": "cloud-a.n0", "peer": "cloud-b"}
TO_B1: Final = IN | {"instance": GW, "peer": "cloud-b", "gateway": "gw-b1"}
_FAULT_SECONDS: Final = FAULT_MINUTES * 60
_STANDBY: Final = Firing("IsthmusNoStandbyGateway", "No other gateway node can take over when the last one fails.")


def _not_ready(*gateways: str) -> tuple[Firing, ...]:
    return tuple(
        Firing(
            "IsthmusGatewayNotReady",
            f"Gateway node {gateway} is not Ready, or its agent does not renew its Lease.",
            {"gateway": gateway},
        )
        for gateway in gateways
    )


FAULTS: Final = (
    Fault(
        "a-gateway-node-fails",
        {key("isthmus_gateway_ready", CONTROLLER, gateway=GW): then(1, 0)},
        4,
        16,
        (*_not_ready(GW), _STANDBY),
    ),
    Fault(
        "all-gateway-nodes-fail",
        {key("isthmus_gateway_ready", CONTROLLER, gateway=agent): then(1, 0) for agent in AGENTS},
        4,
        16,
        _not_ready(*AGENTS),
    ),
    Fault(
        "charon-ends",
        {key("isthmus_charon_up", GW): then(1, 0)},
        1,
        3,
        (
            Firing(
                "IsthmusCharonDown",
                "charon does not answer the agent gw-a1. Traffic passes until the existing SAs expire.",
                IN | {"instance": GW},
            ),
        ),
    ),
    Fault(
        "packets-leave-esp",
        {key("isthmus_firewall_dropped_packets_total", GW, rule="unprotected_out"): grows(1, 90)},
        9,
        16,
        (
            Firing(
                "IsthmusUnprotectedPackets",
                "Rule unprotected_out of gw-a1 drops 3.0 packets a second.",
                IN | {"instance": GW, "rule": "unprotected_out"},
            ),
        ),
    ),
    Fault(
        "peer-api-away",
        {
            key("isthmus_peer_last_read_timestamp_seconds", CONTROLLER, peer="cloud-b"): CLOCK_STOPS,
            key("isthmus_peers", CONTROLLER, state="Ready"): then(1, 0),
            key("isthmus_peers", CONTROLLER, state="PeerUnreachable"): then(0, 1),
        },
        14,
        16,
        (
            Firing(
                "IsthmusPeerNotRead",
                "The links that cloud-b publishes have not been read completely for a long time, or not since the "
                "controller started. What is stretched keeps working; no change of the peer is seen.",
                {"peer": "cloud-b"},
            ),
        ),
    ),
    Fault(
        "agreements-differ",
        {
            key("isthmus_peers", CONTROLLER, state="Ready"): then(1, 0),
            key("isthmus_peers", CONTROLLER, state="TunnelPortsDiffer"): then(0, 1),
        },
        14,
        16,
        (
            Firing(
                "IsthmusPeerNotReady",
                "1 CloudPeers are not Ready with reason TunnelPortsDiffer.",
                {"state": "TunnelPortsDiffer"},
            ),
        ),
    ),
    Fault(
        "credential-ends-soon",
        {
            key("isthmus_peer_credential_expiry_timestamp_seconds", CONTROLLER, peer="cloud-b"): then(
                30 * 86400, _FAULT_SECONDS + 86400
            ),
        },
        14,
        60,
        (
            Firing(
                "IsthmusCredentialExpiring",
                "The credential for cloud-b ends in 23h 0m 0s; a negative time means that it has ended. After its end "
                "no change of the peer is seen.",
                {"peer": "cloud-b"},
            ),
        ),
    ),
    Fault(
        "certificate-ends-soon",
        certificate(GW, "certificate", then(60 * 86400, _FAULT_SECONDS + 86400), then(46 * 86400, _FAULT_SECONDS)),
        14,
        60,
        (
            Firing(
                "IsthmusCertificateExpiring",
                "The certificate for cloud-b on gw-a1 expires in 23h 0m 0s; a negative time means that it has expired. "
                "From then on no new SA is authenticated.",
                {"instance": GW, "job": "isthmus", "peer": "cloud-b", "kind": "certificate"},
            ),
        ),
    ),
    Fault(
        "underlay-cut",
        {
            **{tunnel(GW, layer): then(1, 0) for layer in ("ike", "bfd")},
            key("isthmus_links", GW, state="up"): then(2, 0),
            key("isthmus_links", GW, state="down"): then(0, 2),
        },
        1,
        12,
        (
            Firing(
                "IsthmusTunnelDown",
                "BFD from gw-a1 to gateway gw-b1 of cloud-b is down.",
                TO_B1 | {"layer": "bfd"},
            ),
            Firing(
                "IsthmusLinksDown",
                "2 links of gw-a1 have no reply to their dataplane probes.",
                IN | {"instance": GW, "state": "down"},
            ),
        ),
    ),
    Fault(
        "ike-blocked",
        {tunnel(GW, "ike"): then(1, 0)},
        9,
        11,
        (
            Firing(
                "IsthmusIKEDown",
                "gw-a1 has no IKE SA with gateway gw-b1 of cloud-b. Traffic passes until the existing ESP SAs expire.",
                TO_B1 | {"layer": "ike"},
            ),
        ),
    ),
    Fault(
        "tunnel-ids-used-up",
        {key("isthmus_tunnel_ids_used", CONTROLLER, peer="cloud-b"): then(900, 950)},
        14,
        16,
        (
            Firing(
                "IsthmusTunnelIDsNearlyUsedUp",
                "95 % of the tunnel IDs that this cloud may allocate for cloud-b are allocated. Without a free one no "
                "further network can be stretched to that peer.",
                {"peer": "cloud-b"},
            ),
        ),
    ),
    Fault(
        "one-network-disconnected",
        {
            key("isthmus_links", GW, state="up"): then(2, 1),
            key("isthmus_links", GW, state="down"): then(0, 1),
            key("isthmus_link_probes_lost_total", GW, **NETWORK): grows(0, 15),
        },
        4,
        30,
        (
            Firing(
                "IsthmusLinksDown",
                "1 links of gw-a1 have no reply to their dataplane probes.",
                IN | {"instance": GW, "state": "down"},
            ),
        ),
    ),
    Fault(
        "path-loses-frames",
        {key("isthmus_link_probes_lost_total", GW, **NETWORK): grows(0, 3)},
        9,
        25,
        (
            Firing(
                "IsthmusProbeLoss",
                "20 % of the dataplane probes of cloud-a.n0 to cloud-b are lost.",
                IN | {"instance": GW, **NETWORK},
            ),
        ),
    ),
    Fault(
        "quota-exceeded",
        {
            key("isthmus_links", CONTROLLER, state="Ready"): then(2, 1),
            key("isthmus_links", CONTROLLER, state="QuotaExceeded"): then(0, 1),
        },
        14,
        16,
        (
            Firing(
                "IsthmusNetworkNotReady",
                "1 links are not Ready with reason QuotaExceeded.",
                {"state": "QuotaExceeded"},
            ),
        ),
    ),
    Fault(
        "mtu-of-the-node-lowered",
        {key("isthmus_tunnel_mtu_bytes", GW): then(1450, 1400)},
        14,
        16,
        tuple(
            Firing(
                "IsthmusMTUTooLarge",
                f"cloud-a.n{number} has an MTU of 1416 bytes, more than the tunnel interface of gw-a1 carries: large "
                "packets are fragmented or lost.",
                IN | {"instance": GW, "network": f"cloud-a.n{number}"},
            )
            for number in (0, 1)
        ),
    ),
)
