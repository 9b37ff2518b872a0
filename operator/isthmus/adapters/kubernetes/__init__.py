"""The Kubernetes API of our own cloud: `KubernetesCluster` reads and writes, `KopfWatch` reports changes."""

from .cluster import KubernetesCluster
from .resources import Resource, resources
from .watch import KopfWatch

__all__ = ["KopfWatch", "KubernetesCluster", "Resource", "resources"]
