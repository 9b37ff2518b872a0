"""The external systems of an agent as one value, so that tests can replace or wrap each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.ports import (
    Clock,
    Cluster,
    DataplaneProbe,
    Firewall,
    Ike,
    KernelMonitor,
    Leases,
    Netlink,
    OpenFlow,
    Ovsdb,
    Watch,
    Xfrm,
)
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import Outages


@dataclass(frozen=True)
class Backends:
    """Every external system that an agent uses."""

    cluster: Cluster
    leases: Leases
    watch: Watch
    netlink: Netlink
    monitor: KernelMonitor
    xfrm: Xfrm
    firewall: Firewall
    ike: Ike
    ovsdb: Ovsdb
    openflow: OpenFlow
    probe: DataplaneProbe
    clock: Clock
    metrics: Metrics
    outages: Outages = field(default_factory=Outages)
