"""Every metric of every process in one table, and the server that Prometheus reads them from."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """A metric whose values are those of the last look, all of them told at once."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str
    labels: Labels


LINKS = Family("isthmus_links", "gauge", "Links of stretched networks by state.", ("state",))
PEERS = Family("isthmus_peers", "gauge", "CloudPeers by state.", ("state",))
NETWORK_BYTES = Family(
    "isthmus_network_bytes",
    "counter",
    "Bytes of a stretched network that crossed the link to a peer. Begins again when the flows are replaced.",
    ("network", "peer", "direction"),
)
NETWORK_PACKETS = Family(
    "isthmus_network_packets",
    "counter",
    "Packets of a stretched network that crossed the link to a peer. Begins again when the flows are replaced.",
    ("network", "peer", "direction"),
)
IPSEC_SAS = Family("isthmus_ipsec_sas", "gauge", "ESP associations with a peer's gateway.", ("peer", "gateway"))
TUNNEL_UP = Family(
    "isthmus_tunnel_up", "gauge", "Whether IKE, ESP and BFD towards a gateway are up.", ("peer", "gateway", "layer")
)
LINK_RTT = Family(
    "isthmus_link_rtt_seconds", "gauge", "Round trip of the latest echo frame of a link.", ("network", "peer")
)
PEER_LAST_READ = Family(
    "isthmus_peer_last_read_timestamp_seconds", "gauge", "When a peer's halves were last read completely.", ("peer",)
)
FAMILIES = (
    LINKS, PEERS, NETWORK_BYTES, NETWORK_PACKETS, IPSEC_SAS, TUNNEL_UP, LINK_RTT, PEER_LAST_READ,
)  # fmt: skip


class Metrics:
    """The metrics of one process. Safe to use from several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "isthmus_reconciles", "Times that everything was compared.", ["loop"], registry=self.registry
        )
        self.errors = Counter(
            "isthmus_reconcile_errors", "Times that this could not be done.", ["loop", "reason"], registry=self.registry
        )
        self.duration = Histogram(
            "isthmus_reconcile_duration_seconds", "How long it took.", ["loop"], registry=self.registry
        )
        self.calls = Counter(
            "isthmus_api_calls", "Calls of an outside world.", ["world", "verb"], registry=self.registry
        )
        self.writes = Counter(
            "isthmus_writes", "Calls that change an outside world.", ["world"], registry=self.registry
        )
        self._published = _Published()
        self.registry.register(self._published)

    def set(self, family: Family, values: Mapping[Labels, float]) -> None:
        """All values of a metric as they are now, by the values of its labels; what is missing is no more."""
        self._published.replace(family, values)

    def values(self, family: Family) -> Mapping[Labels, float]:
        """The values of a metric as they were last told."""
        return self._published.values_of(family)

    @contextmanager
    def reconciling(self, loop: str) -> Iterator[None]:
        """Count and time one reconcile."""
        began = monotonic()
        try:
            yield
        finally:
            self.reconciles.labels(loop).inc()
            self.duration.labels(loop).observe(monotonic() - began)

    def serve(self, address: str, port: int) -> None:
        """Answer /metrics on a thread of its own; port 0: do not."""
        if port:
            start_http_server(port, address, self.registry)


class _Published(Collector):
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Family, Mapping[Labels, float]] = {}

    def replace(self, family: Family, values: Mapping[Labels, float]) -> None:
        with self._lock:
            self._values[family] = dict(values)

    def values_of(self, family: Family) -> Mapping[Labels, float]:
        with self._lock:
            return self._values.get(family, {})

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            values = dict(self._values)
        for family in FAMILIES:
            if family in values:
                yield _metric(family, values[family])


def _metric(family: Family, values: Mapping[Labels, float]) -> Metric:
    kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
    metric = kind(family.name, family.help, labels=family.labels)
    for labels, value in sorted(values.items()):
        metric.add_metric(labels, value)
    return metric
