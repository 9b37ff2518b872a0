"""The external systems of an agent as one value, so that tests can replace or wrap each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from isthmus.ports import (
    Clock,
    DataplaneProbe,
    Firewall,
    GatewayPing,
    Ike,
    InnerNetwork,
    IntentSource,
    KernelMonitor,
    Leases,
    Netlink,
    OpenFlow,
    Ovsdb,
    ReportSink,
    TunnelDevices,
    Xfrm,
)
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import Outages


@dataclass(frozen=True)
class Backends:
    """Every external system that an agent uses."""

    leases: Leases
    intents: IntentSource
    reports: ReportSink
    netlink: Netlink
    inner: InnerNetwork
    monitor: KernelMonitor
    xfrm: Xfrm
    firewall: Firewall
    clamping: Firewall
    """The table on our tunnel devices."""
    devices: TunnelDevices
    ike: Ike
    ovsdb: Ovsdb
    openflow: OpenFlow
    probe: DataplaneProbe
    ping: GatewayPing
    clock: Clock
    metrics: Metrics
    outages: Outages = field(default_factory=Outages)
    health: Health = field(default_factory=Health)
