"""Builds a controller's backends from its settings."""

from __future__ import annotations

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import (
    CombinedWatch,
    KopfObjectWatch,
    KubernetesCluster,
    KubernetesLeases,
    StreamedWatch,
    built_in,
    named,
)
from isthmus.adapters.openstack import OpenStackCloud
from isthmus.adapters.peers import RemotePeers
from isthmus.core.snapshot.manifests import NAMESPACE, NODE, SECRET
from isthmus.model.api.kinds import KINDS
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.names import CONTROLLER, SYSTEM_NAMESPACE
from isthmus.model.settings import ControllerSettings
from isthmus.ports import ObjectWatch
from isthmus.telemetry.counted import counted
from isthmus.telemetry.health import Health
from isthmus.telemetry.metrics import Metrics

from .backends import Backends

HANDLED = (CloudPeer, IPsecPolicy, NetworkExpansion, ExpansionApproval)
"""Kinds of ours that administrators and tenants write, besides Namespaces and Nodes."""


def assemble(settings: ControllerSettings) -> Backends:
    """The adapters to all external systems of a controller; none of them connects before it is used."""
    metrics, health, clock = Metrics(), Health(settings.resync_seconds), SystemClock()
    ended = health.call_ended
    return Backends(
        cluster=counted(KubernetesCluster(settings.kubeconfig, CONTROLLER), "kubernetes", metrics, ended),
        leases=counted(KubernetesLeases(settings.kubeconfig, CONTROLLER), "kubernetes", metrics, ended),
        cloud=counted(OpenStackCloud(settings.clouds_file, settings.openstack_cloud), "openstack", metrics, ended),
        peers=RemotePeers(settings.cloud_id, settings.peer_poll_seconds),
        watch=_watch(settings.kubeconfig),
        clock=clock,
        metrics=metrics,
        health=health,
    )


def _watch(kubeconfig: str | None) -> ObjectWatch:
    written_by_others = named(HANDLED, NAMESPACE, NODE)
    ours = named(kind for kind in KINDS if kind not in HANDLED)
    return CombinedWatch(
        KopfObjectWatch(written_by_others, kubeconfig, CONTROLLER),
        StreamedWatch(ours, kubeconfig, CONTROLLER),
        StreamedWatch({SECRET: built_in("v1", SECRET)}, kubeconfig, CONTROLLER, SYSTEM_NAMESPACE),
    )
