"""A fake of ports.Leases."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

from isthmus.model.errors import Conflict, NotFound, Unavailable
from isthmus.model.facts.lease import Lease


class FakeLeases:
    """The Leases of one API server, for any number of clients."""

    def __init__(self) -> None:
        self.stored: dict[str, Lease] = {}
        self.down = False
        """No call succeeds."""
        self.absent_gateway_nodes: set[str] = set()
        self._versions = count(1)

    def get_lease(self, name: str) -> Lease | None:
        self._ask()
        return self.stored.get(name)

    def list_leases(self) -> list[Lease]:
        self._ask()
        return list(self.stored.values())

    def update_lease(self, lease: Lease) -> Lease:
        self._ask()
        existing = self.stored.get(lease.name)
        if existing is None and lease.resource_version:
            raise NotFound(f'leases "{lease.name}" not found')
        if existing is None and lease.gateway_node in self.absent_gateway_nodes:
            raise NotFound(f'gatewaynodes.isthmus.cloud "{lease.gateway_node}" not found')
        if existing is not None and existing.resource_version != lease.resource_version:
            raise Conflict(f'leases "{lease.name}": the object has been modified')
        owner = existing.gateway_node if existing else lease.gateway_node
        annotations = {**(existing.annotations if existing else {}), **lease.annotations}
        version = str(next(self._versions))
        stored = replace(lease, resource_version=version, gateway_node=owner, annotations=annotations)
        self.stored[lease.name] = stored
        return stored

    def _ask(self) -> None:
        if self.down:
            raise Unavailable("no answer")
