"""Everything that `status`, `diagnose` and `topology` judge, read at once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from isthmus.model.names import SYSTEM_NAMESPACE

from .core import resources
from .core.answer import Unread
from .core.diagnosis.subject import Readings
from .core.leases import leases
from .kubectl import Kubectl, NotRead

_EXPANSIONS: Final = "networkexpansions"
KINDS: Final = ("gatewaynodes", "cloudpeers", "peerlinks", _EXPANSIONS, "attachments")


def observe(kubectl: Kubectl, namespace: str = "") -> tuple[Readings, tuple[Unread, ...]]:
    """All objects that may be read, NetworkExpansions of one namespace or of all."""
    elsewhere = tuple(kind for kind in KINDS if kind != _EXPANSIONS or not namespace)
    requests = [kubectl.get(elsewhere), *([kubectl.get((_EXPANSIONS,), namespace)] if namespace else [])]
    of_processes = kubectl.get_leases(SYSTEM_NAMESPACE)
    found, renewals = [request.result() for request in requests], of_processes.result()
    unread = tuple(gap for reading in (*found, renewals) for gap in reading.unread)
    processes = None if renewals.unread else leases(renewals.items, datetime.now(UTC))
    cloud = resources.cloud([item for reading in found for item in reading.items], datetime.now(UTC))
    return Readings(cloud, processes, {gap.resource: gap.cause for gap in unread}), unread


def read(kubectl: Kubectl, namespace: str = "", hint: str = "") -> tuple[Readings, tuple[Unread, ...]]:
    """As observe; raises NotRead, with the hint, if nothing may be read."""
    readings, unread = observe(kubectl, namespace)
    if len(unread) == len(KINDS) + 1:
        raise NotRead.of(unread, hint)
    return readings, unread
