"""Series of a healthy cloud with two gateway nodes and one peer, in the notation of promtool."""

from __future__ import annotations

from typing import Final

INTERVAL_SECONDS: Final = 30
FAULT_MINUTES: Final = 60
"""When a fault begins."""
_BEFORE: Final = FAULT_MINUTES * 60 // INTERVAL_SECONDS
_AFTER: Final = 2 * _BEFORE + 60
CLOCK: Final = f"0+{INTERVAL_SECONDS}x{_BEFORE + _AFTER}"
"""A timestamp that is always that of now: the time of promtool begins at 0."""
CLOCK_STOPS: Final = f"0+{INTERVAL_SECONDS}x{_BEFORE} {FAULT_MINUTES * 60}+0x{_AFTER}"
CLOCK_ENDS: Final = f"0+{INTERVAL_SECONDS}x{_BEFORE} stale"
CONTROLLER: Final = "controller"
_IN_FORCE: Final = {
    "encapsulation": "VXLAN",
    "esp_mode": "Transport",
    "nat": "None",
    "ike_cipher": "aes256gcm16-prfsha384",
    "esp_cipher": "aes256gcm16",
    "key_exchange": "ecp384",
}
AGENTS: Final = ("gw-a1", "gw-a2")


def key(name: str, instance: str, **labels: str) -> str:
    """A series as Prometheus writes it."""
    every = {"instance": instance, "job": "isthmus", **labels}
    texts = [f'{label}="{value}"' for label, value in sorted(every.items())]
    return f"{name}{{{','.join(texts)}}}"


def certificate(at: str, kind: str, expires: str, warns: str) -> dict[str, str]:
    """When something expires that IKE with the peer uses, and from when on that is soon."""
    times = {"expiry": expires, "expiry_warning": warns}
    return {
        key(f"isthmus_certificate_{name}_timestamp_seconds", at, peer="cloud-b", kind=kind): values
        for name, values in times.items()
    }


def always(value: float) -> str:
    """A value that does not change."""
    return f"{value}+0x{_BEFORE + _AFTER}"


def then(before: float, after: float) -> str:
    """A value that changes when the fault begins."""
    return f"{before}+0x{_BEFORE} {after}+0x{_AFTER}"


def ends(value: float) -> str:
    """A value that is no longer exposed when the fault has begun."""
    return f"{value}+0x{_BEFORE} stale"


def grows(before: float, after: float) -> str:
    """A counter, by its increments per interval before and after the fault has begun."""
    reached = before * (_BEFORE + 1)
    return f"0+{before}x{_BEFORE} {reached}+{after}x{_AFTER}"


def healthy() -> dict[str, str]:
    """Every series that a rule or a panel reads, with its values."""
    found = _of_controller()
    for instance, loop in ((CONTROLLER, "controller"), *((agent, "node") for agent in AGENTS)):
        found |= _of_process(instance, loop)
    for agent in AGENTS:
        found |= _of_agent(agent, networks=2 if agent == AGENTS[0] else 0)
    return found


def _of_process(at: str, loop: str) -> dict[str, str]:
    buckets = {
        key("isthmus_reconcile_duration_seconds_bucket", at, loop=loop, le=le): grows(1, 1) for le in ("0.1", "+Inf")
    }
    return buckets | {
        key("isthmus_build_info", at, version="0.1.0", protocol_versions="1,2"): always(1),
        key("isthmus_reconciles_total", at, loop=loop): grows(1, 1),
        key("isthmus_api_calls_total", at, backend="cluster", method="view"): grows(1, 1),
        key("isthmus_writes_total", at, backend="cluster"): grows(1, 1),
        key("process_resident_memory_bytes", at): always(80_000_000),
        key("process_cpu_seconds_total", at): grows(1, 1),
        key("process_open_fds", at): always(20),
    }


def _of_controller() -> dict[str, str]:
    at = CONTROLLER
    loops = ("periodic", "openstack", "worker-0", "gateway-health", "election")
    return {
        **{key("isthmus_last_iteration_timestamp_seconds", at, loop=loop): CLOCK for loop in loops},
        **{key("isthmus_last_complete_iteration_timestamp_seconds", at, loop=loop): CLOCK for loop in loops[:2]},
        key("isthmus_last_reconcile_timestamp_seconds", at, loop="controller"): CLOCK,
        key("isthmus_reconcile_errors_total", at, loop="controller", reason="Unavailable"): always(3),
        key("isthmus_queue_length", at): always(0),
        key("isthmus_peers", at, state="Ready"): always(1),
        key("isthmus_peers", at, state="Cordoned"): always(1),
        key("isthmus_links", at, state="Ready"): always(2),
        key("isthmus_links", at, state="NoSubnet"): always(1),
        key("isthmus_links", at, state="WaitingForPeer"): always(1),
        **{key("isthmus_gateway_ready", at, gateway=agent): always(1) for agent in AGENTS},
        key("isthmus_objects_not_understood", at, kind="CloudPeer"): always(0),
        key("isthmus_peer_last_read_timestamp_seconds", at, peer="cloud-b"): CLOCK,
        key("isthmus_peer_credential_expiry_timestamp_seconds", at, peer="cloud-b"): always(30 * 86400),
        key("isthmus_tunnel_ids", at, peer="cloud-b"): always(1000),
        key("isthmus_tunnel_ids_used", at, peer="cloud-b"): always(2),
    }


def _of_agent(at: str, networks: int) -> dict[str, str]:
    names = [f"cloud-a.n{number}" for number in range(networks)]
    probes = [{"network": name, "peer": "cloud-b"} for name in names]
    return {
        **{key("isthmus_last_iteration_timestamp_seconds", at, loop=k): CLOCK for k in ("node", "intents", "lease")},
        **{key("isthmus_last_complete_iteration_timestamp_seconds", at, loop=k): CLOCK for k in ("node", "intents")},
        key("isthmus_charon_up", at): always(1),
        key("isthmus_links", at, state="up"): always(networks),
        key("isthmus_links", at, state="down"): always(0),
        **certificate(at, "certificate", always(60 * 86400), always(46 * 86400)),
        **certificate(at, "CA", always(7 * 86400), always(5 * 86400)),  # renewed every few days
        **certificate(at, "CRL", always(0), always(0)),  # expired: a condition, and no alert
        key("isthmus_ipsec_sas", at, peer="cloud-b", gateway="gw-b1"): always(4),
        **{tunnel(at, layer): always(1) for layer in ("ike", "esp", "bfd")},
        key("isthmus_tunnel_info", at, peer="cloud-b", gateway="gw-b1", **_IN_FORCE): always(1),
        **{key("isthmus_link_rtt_seconds", at, **link): always(0.002) for link in probes},
        **{
            key(f"isthmus_network_{unit}_total", at, direction=direction, **link): grows(9, 9)
            for link in probes
            for unit in ("bytes", "packets")
            for direction in ("sent", "received")
        },
        **{
            key(f"isthmus_relayed_{unit}_total", at, network=name, from_peer="cloud-b", to_peer="cloud-c"): grows(9, 9)
            for name in names
            for unit in ("bytes", "packets")
        },
        **{key("isthmus_link_probes_total", at, **link): grows(15, 15) for link in probes},
        **{key("isthmus_link_probes_lost_total", at, **link): grows(0, 0) for link in probes},
        **{key("isthmus_network_mtu_bytes", at, network=name): always(1416) for name in names},
        key("isthmus_tunnel_mtu_bytes", at): always(1450),
        key("isthmus_firewall_dropped_packets_total", at, rule="unprotected_out"): grows(1, 1),
    }


def tunnel(at: str, layer: str) -> str:
    """A layer of the tunnel from that gateway node to the peer's."""
    return key("isthmus_tunnel_up", at, peer="cloud-b", gateway="gw-b1", layer=layer)
