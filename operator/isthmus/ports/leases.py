"""Leases in this cloud's Kubernetes API."""

from __future__ import annotations

from typing import Protocol

from isthmus.model.facts.lease import Lease


class Leases(Protocol):
    """The Leases of namespace `isthmus-system`. MUST be safe to use from several threads."""

    def get_lease(self, name: str) -> Lease | None:
        """One Lease; None if it does not exist."""
        ...

    def list_leases(self) -> list[Lease]:
        """All Leases of the namespace."""
        ...

    def update_lease(self, lease: Lease) -> Lease:
        """Create the Lease if it has no resource version, otherwise write it; returns it as stored.

        MUST raise `Conflict` if it exists already, or was written since that version: of two writers that have read
        the same version only one may succeed. `NotFound` if a Lease with a version does not exist any more, or if the
        GatewayNode that is to own a new one does not exist. The owner of an existing Lease stays as it is, and so
        do annotations that are not given.
        """
        ...
