"""A Lease: who vouches for something, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Lease:
    """A Lease of `coordination.k8s.io/v1` in namespace `isthmus-system`.

    Its times are those of the holder's wall clock. Others MUST NOT compare them with their own: they measure how long
    ago they saw the Lease change.
    """

    name: str
    holder: str = ""
    """Empty if nobody holds it."""
    duration_seconds: int = 0
    acquired: datetime | None = None
    renewed: datetime | None = None
    transitions: int = 0
    """How often the holder has changed."""
    resource_version: str = ""
    """Empty if the Lease does not exist yet."""
    gateway_node: str = ""
    """GatewayNode that owns the Lease: Kubernetes deletes it along with that. Empty if none does."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    """Those of `isthmus.cloud`; a write leaves others as they are."""

    @property
    def renewal(self) -> tuple[str, datetime | None]:
        """Differs after every renewal, and after nothing else."""
        return self.holder, self.renewed
