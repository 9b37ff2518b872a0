"""Builds an agent's backends from its settings."""

from __future__ import annotations

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import (
    CombinedWatch,
    KopfWatch,
    KubernetesCluster,
    KubernetesLeases,
    StreamedWatch,
    built_in,
    named,
    resources,
)
from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.inner import InnerDevice
from isthmus.adapters.linux.monitor import NetlinkMonitor
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.ping import IcmpPing
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.adapters.strongswan import Vici
from isthmus.model.names import AGENT, IPSEC_NAMESPACE, NFTABLES_TABLE
from isthmus.model.node.firewall import DEVICE_FAMILY
from isthmus.model.settings import AgentSettings
from isthmus.ports import Clock, IntentSource, ReportSink
from isthmus.telemetry.counted import counted
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics
from isthmus.telemetry.outages import KUBERNETES, Outages

from .backends import Backends
from .kubernetes import STREAMED, WATCHED, KubernetesIntents, KubernetesReports


def assemble(settings: AgentSettings) -> Backends:
    """The adapters to all external systems of an agent; none of them connects before it is used."""
    metrics, outages, clock = Metrics(), Outages(), SystemClock()
    health = Health(settings.resync_seconds)
    ended = health.call_ended
    intents, reports = _kubernetes(settings, metrics, outages, clock, health)
    leases = KubernetesLeases(settings.kubeconfig, _manager(settings))
    database = OvsdbDatabase(settings.ovsdb_socket, settings.bfd_interval_milliseconds)
    return Backends(
        leases=counted(leases, "kubernetes", metrics, ended),
        intents=intents,
        reports=reports,
        netlink=RtNetlink(),
        inner=counted(InnerDevice(), "rtnetlink", metrics, ended),
        monitor=NetlinkMonitor(NFTABLES_TABLE),
        xfrm=counted(NetlinkXfrm(), "xfrm", metrics, ended),
        firewall=counted(Nft(), "nftables", metrics, ended),
        clamping=counted(Nft(DEVICE_FAMILY), "nftables", metrics, ended),
        devices=counted(KernelTunnelDevices(), "devices", metrics, ended),
        ike=counted(Vici(settings.vici_socket), "charon", metrics, ended),
        ovsdb=counted(database, "ovsdb", metrics, ended),
        openflow=counted(OvsOfctl(settings.ovsdb_socket), "openflow", metrics, ended),
        probe=PacketProbe(),
        ping=IcmpPing(),
        clock=clock,
        metrics=metrics,
        outages=outages,
        health=health,
    )


def _kubernetes(
    settings: AgentSettings, metrics: Metrics, outages: Outages, clock: Clock, health: Health
) -> tuple[IntentSource, ReportSink]:
    adapter = KubernetesCluster(settings.kubeconfig, _manager(settings))
    cluster = counted(adapter, "kubernetes", metrics, health.call_ended)
    watch = CombinedWatch(
        KopfWatch(resources(WATCHED), settings.kubeconfig),
        KopfWatch([built_in("v1", "Secret")], settings.kubeconfig, IPSEC_NAMESPACE),
    )
    outage = outages[KUBERNETES]
    reports = KubernetesReports(cluster, settings.node_name, clock, outage, settings.resync_seconds, health)
    stream = StreamedWatch(named(STREAMED), settings.kubeconfig, _manager(settings))
    return KubernetesIntents(cluster, watch, stream, settings, clock, outage, reports, metrics, health), reports


def _manager(settings: AgentSettings) -> str:
    return f"{AGENT}-{settings.node_name}"
