"""The Kubernetes API of our own cloud: objects, Leases, and watches that report changes."""

from .cluster import KubernetesCluster
from .combined import CombinedWatch
from .handlers import KopfObjectWatch
from .leases import KubernetesLeases
from .resources import Resource, built_in, named, resources
from .stream import StreamedWatch
from .watch import KopfWatch

__all__ = [
    "CombinedWatch",
    "KopfObjectWatch",
    "KopfWatch",
    "KubernetesCluster",
    "KubernetesLeases",
    "Resource",
    "StreamedWatch",
    "built_in",
    "named",
    "resources",
]
