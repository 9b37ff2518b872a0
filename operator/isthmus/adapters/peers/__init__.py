"""The peers' Kubernetes APIs: their published halves, read with the credentials that they gave us."""

from .remote import RemotePeers

__all__ = ["RemotePeers"]
