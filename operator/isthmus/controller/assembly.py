"""Builds a controller's backends from its settings."""

from __future__ import annotations

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.kubernetes import KubernetesCluster, KubernetesLeases, StreamedWatch, named
from isthmus.adapters.openstack import OpenStackCloud
from isthmus.adapters.peers import RemotePeers
from isthmus.model.api.kinds import KINDS
from isthmus.model.names import CONTROLLER
from isthmus.model.settings import ControllerSettings
from isthmus.telemetry.counted import counted
from isthmus.telemetry.metrics import Metrics

from .backends import Backends
from .feed import NAMESPACE, NODE


def assemble(settings: ControllerSettings) -> Backends:
    """The adapters to all external systems of a controller; none of them connects before it is used."""
    metrics = Metrics()
    return Backends(
        cluster=counted(KubernetesCluster(settings.kubeconfig, CONTROLLER), "kubernetes", metrics),
        leases=counted(KubernetesLeases(settings.kubeconfig, CONTROLLER), "kubernetes", metrics),
        cloud=counted(OpenStackCloud(settings.clouds_file, settings.openstack_cloud), "openstack", metrics),
        peers=RemotePeers(settings.cloud_id, settings.peer_poll_seconds),
        watch=StreamedWatch(named(KINDS, NAMESPACE, NODE), settings.kubeconfig, CONTROLLER),
        clock=SystemClock(),
        metrics=metrics,
    )
