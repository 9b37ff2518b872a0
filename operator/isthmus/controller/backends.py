"""The outside worlds of a controller, as one value: tests put a proxy round each of them."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.ports import Clock, Cluster, NetworkCloud, PeerReader, Watch
from isthmus.telemetry.metrics import Metrics


@dataclass(frozen=True)
class Backends:
    """Everything outside that a controller talks to."""

    cluster: Cluster
    cloud: NetworkCloud
    peers: PeerReader
    watch: Watch
    clock: Clock
    metrics: Metrics
