"""The Kubernetes API of our own cloud: objects, Leases, and watches that report changes."""

from .cluster import KubernetesCluster
from .leases import KubernetesLeases
from .resources import Resource, built_in, named, resources
from .stream import StreamedWatch
from .watch import KopfWatch

__all__ = [
    "KopfWatch",
    "KubernetesCluster",
    "KubernetesLeases",
    "Resource",
    "StreamedWatch",
    "built_in",
    "named",
    "resources",
]
