"""The external systems of a controller as one value, so that tests can replace or wrap each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.ports import Clock, Cluster, Leases, NetworkCloud, ObjectWatch, PeerReader
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import Outages


@dataclass(frozen=True)
class Backends:
    """Every external system that a controller uses."""

    cluster: Cluster
    leases: Leases
    cloud: NetworkCloud
    peers: PeerReader
    watch: ObjectWatch
    clock: Clock
    metrics: Metrics
    outages: Outages = field(default_factory=Outages)
    health: Health = field(default_factory=Health)
