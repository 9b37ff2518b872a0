"""Builds an agent's backends from its settings."""

from __future__ import annotations

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KopfWatch, KubernetesCluster, KubernetesLeases, resources
from isthmus.adapters.linux.monitor import NetlinkMonitor
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.adapters.strongswan import Vici
from isthmus.model.names import AGENT, NFTABLES_TABLE
from isthmus.model.settings import AgentSettings
from isthmus.telemetry.counted import counted
from isthmus.telemetry.metrics import Metrics

from .backends import Backends
from .inputs import WATCHED


def assemble(settings: AgentSettings) -> Backends:
    """The adapters to all external systems of an agent; none of them connects before it is used."""
    metrics = Metrics()
    manager = f"{AGENT}-{settings.node_name}"
    database = OvsdbDatabase(settings.ovsdb_socket, settings.bfd_interval_milliseconds)
    return Backends(
        cluster=counted(KubernetesCluster(settings.kubeconfig, manager), "kubernetes", metrics),
        leases=counted(KubernetesLeases(settings.kubeconfig, manager), "kubernetes", metrics),
        watch=KopfWatch(resources(WATCHED), settings.kubeconfig),
        netlink=RtNetlink(),
        monitor=NetlinkMonitor(NFTABLES_TABLE),
        xfrm=counted(NetlinkXfrm(), "xfrm", metrics),
        firewall=counted(Nft(), "nftables", metrics),
        ike=counted(Vici(settings.vici_socket), "charon", metrics),
        ovsdb=counted(database, "ovsdb", metrics),
        openflow=counted(OvsOfctl(settings.ovsdb_socket), "openflow", metrics),
        probe=PacketProbe(),
        clock=SystemClock(),
        metrics=metrics,
    )
