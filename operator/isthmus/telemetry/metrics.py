"""The metrics of both processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from time import monotonic
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from isthmus.model.protocol import PROTOCOL_VERSIONS

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A metric whose values are replaced all at once, after each observation."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: Labels


BUILD_INFO = Family(
    "isthmus_build_info",
    "gauge",
    "1; the labels are the release, and the versions of the protocol between two clouds that it speaks.",
    ("version", "protocol_versions"),
)
LAST_ITERATION = Family(
    "isthmus_last_iteration_timestamp_seconds",
    "gauge",
    "Time at which the last iteration of a loop ended, whether or not it failed.",
    ("loop",),
)
LAST_COMPLETE_ITERATION = Family(
    "isthmus_last_complete_iteration_timestamp_seconds",
    "gauge",
    "Time at which a loop that readiness depends on last completed its work.",
    ("loop",),
)
LINKS = Family("isthmus_links", "gauge", "Links of stretched networks by state.", ("state",))
NETWORKS_AWAITING = Family(
    "isthmus_networks_awaiting",
    "gauge",
    "Networks of a peer that await a decision of this cloud's administrators.",
    ("peer",),
)
PEERS = Family("isthmus_peers", "gauge", "CloudPeers by state.", ("state",))
NETWORK_BYTES = Family(
    "isthmus_network_bytes",
    "counter",
    "Bytes of a stretched network sent to or received from a peer. Reset when its flows are replaced.",
    ("network", "peer", "direction"),
)
NETWORK_PACKETS = Family(
    "isthmus_network_packets",
    "counter",
    "Packets of a stretched network sent to or received from a peer. Reset when its flows are replaced.",
    ("network", "peer", "direction"),
)
RELAYED_BYTES = Family(
    "isthmus_relayed_bytes",
    "counter",
    "Bytes of a network of this cloud, without probes, that a peer sent to another one and this cloud handed on. "
    "Absent until there is one. Reset when its flows are replaced.",
    ("network", "from_peer", "to_peer"),
)
RELAYED_PACKETS = Family(
    "isthmus_relayed_packets",
    "counter",
    "Packets of a network of this cloud, without probes, that a peer sent to another one and this cloud handed on. "
    "Absent until there is one. Reset when its flows are replaced.",
    ("network", "from_peer", "to_peer"),
)
IPSEC_SAS = Family("isthmus_ipsec_sas", "gauge", "ESP SAs with a peer's gateway.", ("peer", "gateway"))
FIREWALL_DROPPED = Family(
    "isthmus_firewall_dropped_packets",
    "counter",
    "Packets dropped by a rule of our nftables table. Reset when the table is replaced.",
    ("rule",),
)
GUARD_DROPPED = Family(
    "isthmus_guard_dropped_packets",
    "counter",
    "Packets of a stretched network that br-cloud dropped, by reason; of a peer, or of this cloud if the label peer is "
    "empty. Absent until there is one. Reset when its flows are replaced.",
    ("network", "peer", "reason"),
)
OVER_BANDWIDTH = Family(
    "isthmus_over_bandwidth_packets",
    "counter",
    "Packets of machines, sent to a peer or received from it, that br-cloud dropped because they were more than "
    "agreement.limits.bandwidthMbps of its CloudPeer. Absent until there is one. Reset with the limit.",
    ("peer", "direction"),
)
TUNNEL_UP = Family(
    "isthmus_tunnel_up",
    "gauge",
    "1 if IKE, ESP or BFD (label layer) to a peer's gateway is up, else 0.",
    ("peer", "gateway", "layer"),
)
TUNNEL_INFO = Family(
    "isthmus_tunnel_info",
    "gauge",
    "1; the labels are what protects the traffic with a peer's gateway, as charon reports it of the SAs in force; they "
    "are empty without SAs. nat is None, Local, Remote or Both.",
    ("peer", "gateway", "encapsulation", "esp_mode", "nat", "ike_cipher", "esp_cipher", "key_exchange"),
)
LINK_RTT = Family(
    "isthmus_link_rtt_seconds", "gauge", "Round-trip time of the last dataplane probe of a link.", ("network", "peer")
)
LINK_PROBES = Family(
    "isthmus_link_probes",
    "counter",
    "Dataplane probes sent on a link. Reset when the link is removed.",
    ("network", "peer"),
)
LINK_PROBES_LOST = Family(
    "isthmus_link_probes_lost",
    "counter",
    "Dataplane probes of a link that were not reflected in time. Reset when the link is removed.",
    ("network", "peer"),
)
MEMBER_PATH = Family(
    "isthmus_member_path",
    "gauge",
    "1; path is the one by which frames are sent to another receiver of a network: Direct or ThroughOrigin.",
    ("network", "peer", "path"),
)
MEMBER_PATH_CHANGES = Family(
    "isthmus_member_path_changes",
    "counter",
    "Changes of the path to a receiver that is reached both directly and through the origin. Reset when one path is "
    "removed.",
    ("network", "peer"),
)
CHARON_UP = Family("isthmus_charon_up", "gauge", "1 if charon answered when the node was last observed, else 0.", ())
TUNNEL_MTU = Family(
    "isthmus_tunnel_mtu_bytes",
    "gauge",
    "Largest IP packet of a machine that the MTU of the node's tunnel interface carries unfragmented.",
    (),
)
PATH_MTU = Family(
    "isthmus_path_mtu_bytes",
    "gauge",
    "Largest IP packet of a machine that crosses to a peer's gateway unfragmented, as echoes have found out.",
    ("peer", "gateway"),
)
NETWORK_MTU = Family(
    "isthmus_network_mtu_bytes",
    "gauge",
    "MTU that the clouds have agreed on for a network that this node forwards.",
    ("network",),
)
GATEWAY_READY = Family(
    "isthmus_gateway_ready",
    "gauge",
    "1 if a gateway node is Ready and its agent renews its Lease, else 0.",
    ("gateway",),
)
PEER_LAST_READ = Family(
    "isthmus_peer_last_read_timestamp_seconds",
    "gauge",
    "Time of the last complete read of a peer's links; 0 if there was none since the controller started.",
    ("peer",),
)
TUNNEL_IDS = Family("isthmus_tunnel_ids", "gauge", "Tunnel IDs that this cloud may allocate for a peer.", ("peer",))
TUNNEL_IDS_USED = Family(
    "isthmus_tunnel_ids_used", "gauge", "Tunnel IDs that this cloud has allocated for a peer.", ("peer",)
)
PEER_CREDENTIAL_ENDS = Family(
    "isthmus_peer_credential_expiry_timestamp_seconds",
    "gauge",
    "Time at which the token ends that a peer's links are read with.",
    ("peer",),
)
CERTIFICATE_EXPIRY = Family(
    "isthmus_certificate_expiry_timestamp_seconds",
    "gauge",
    "Time at which the first certificate, CA or CRL expires that IKE with a peer uses.",
    ("peer", "kind"),
)
CERTIFICATE_WARNING = Family(
    "isthmus_certificate_expiry_warning_timestamp_seconds",
    "gauge",
    "Time from which on a certificate, CA or CRL that IKE with a peer uses expires soon.",
    ("peer", "kind"),
)
LAST_RECONCILE = Family(
    "isthmus_last_reconcile_timestamp_seconds", "gauge", "Time at which the last reconciliation ended.", ("loop",)
)
QUEUE_LENGTH = Family("isthmus_queue_length", "gauge", "Peers and networks that wait to be reconciled.", ())
NOT_UNDERSTOOD = Family(
    "isthmus_objects_not_understood", "gauge", "Stored objects that this release does not understand.", ("kind",)
)
FAMILIES = (
    BUILD_INFO, LAST_ITERATION, LAST_COMPLETE_ITERATION, CHARON_UP, TUNNEL_MTU, PATH_MTU, NETWORK_MTU, GATEWAY_READY,
    NETWORKS_AWAITING,
    LINKS, PEERS, NETWORK_BYTES, NETWORK_PACKETS, RELAYED_BYTES, RELAYED_PACKETS, IPSEC_SAS, FIREWALL_DROPPED,
    GUARD_DROPPED, OVER_BANDWIDTH, TUNNEL_UP, TUNNEL_INFO,
    LINK_RTT, LINK_PROBES, LINK_PROBES_LOST, MEMBER_PATH, MEMBER_PATH_CHANGES, CERTIFICATE_EXPIRY,
    CERTIFICATE_WARNING, PEER_LAST_READ,
    PEER_CREDENTIAL_ENDS, TUNNEL_IDS, TUNNEL_IDS_USED, LAST_RECONCILE, QUEUE_LENGTH, NOT_UNDERSTOOD,
)  # fmt: skip


class Metrics:
    """The metrics of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "isthmus_reconciles", "Total number of reconciliations.", ["loop"], registry=self.registry
        )
        self.errors = Counter(
            "isthmus_reconcile_errors",
            "Total number of failed reconciliations.",
            ["loop", "reason"],
            registry=self.registry,
        )
        self.duration = Histogram(
            "isthmus_reconcile_duration_seconds",
            "Duration of reconciliations in seconds.",
            ["loop"],
            registry=self.registry,
        )
        self.calls = Counter(
            "isthmus_api_calls", "API calls by backend and method.", ["backend", "method"], registry=self.registry
        )
        self.writes = Counter(
            "isthmus_writes", "API calls that changed something, by backend.", ["backend"], registry=self.registry
        )
        self.process = ProcessCollector(registry=self.registry)
        self._published = _Published()
        self.registry.register(self._published)
        self.set(BUILD_INFO, {(version("isthmus"), ",".join(map(str, PROTOCOL_VERSIONS))): 1})

    def set(self, family: Family, values: Mapping[Labels, float]) -> None:
        """Replace all values of a metric, by the values of its labels; missing ones are not exposed any more."""
        self._published.replace(family, values)

    def follow(self, family: Family, values: Callable[[], Mapping[Labels, float]]) -> None:
        """Ask for the values of a metric whenever it is read."""
        self._published.follow(family, values)

    def values(self, family: Family) -> Mapping[Labels, float]:
        """The values of a metric as last set."""
        return self._published.values_of(family)

    @contextmanager
    def reconciling(self, loop: str) -> Iterator[None]:
        """Count and time one reconciliation, also if it raises."""
        began = monotonic()
        try:
            yield
        finally:
            self.reconciles.labels(loop).inc()
            self.duration.labels(loop).observe(monotonic() - began)


class _Published(Collector):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Family, Mapping[Labels, float]] = {}
        self._sources: dict[Family, Callable[[], Mapping[Labels, float]]] = {}

    def replace(self, family: Family, values: Mapping[Labels, float]) -> None:
        with self._lock:
            self._values[family] = dict(values)

    def follow(self, family: Family, values: Callable[[], Mapping[Labels, float]]) -> None:
        with self._lock:
            self._sources[family] = values

    def values_of(self, family: Family) -> Mapping[Labels, float]:
        with self._lock:
            return self._values.get(family, {})

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            values, sources = dict(self._values), dict(self._sources)
        values |= {family: source() for family, source in sources.items()}
        for family in FAMILIES:
            if family in values:
                yield _metric(family, values[family])


def _metric(family: Family, values: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric
