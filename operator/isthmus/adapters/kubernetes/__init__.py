"""The Kubernetes API of our own cloud: objects, Leases, and a watch that reports changes."""

from .cluster import KubernetesCluster
from .leases import KubernetesLeases
from .resources import Resource, built_in, resources
from .watch import KopfWatch

__all__ = ["KopfWatch", "KubernetesCluster", "KubernetesLeases", "Resource", "built_in", "resources"]
