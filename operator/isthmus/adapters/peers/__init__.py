"""The peers' Kubernetes APIs: their published links, read with the credentials that they issued to us."""

from .remote import RemotePeers

__all__ = ["RemotePeers"]
