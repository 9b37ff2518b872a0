"""Whether controller and agents run, by their Leases in namespace isthmus-system.

A Lease has the time of its holder's clock, and a command that ends at once cannot wait for the next renewal. So its age
is only that of two clocks compared, and counts as trouble long after several renewals are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeGuard

from isthmus.model import names

from .documents import Document, age_seconds, text
from .findings import Finding
from .resources import Cloud, Node

_OLD_SECONDS: Final = 60


@dataclass(frozen=True)
class Lease:
    """A Lease of one process."""

    name: str
    holder: str
    age_seconds: int | None
    """Since its last renewal; None if it has none."""
    cloud_id: str = ""
    """This cloud's ID, on the Lease of a controller that publishes it."""
    gateway_cidrs: tuple[str, ...] = ()

    @property
    def is_old(self) -> bool:
        """Whether nobody holds it, or its holder has missed several renewals."""
        return not self.holder or self.age_seconds is None or self.age_seconds > _OLD_SECONDS


def duration(seconds: int) -> str:
    """So many seconds, in the largest unit of which there are at least two."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def leases(items: Iterable[Document], now: datetime) -> dict[str, Lease]:
    """By name, the Leases of a `List` of kubectl."""
    found = (
        Lease(
            text(item, "metadata", "name"),
            text(item, "spec", "holderIdentity"),
            age_seconds(now, item, "spec", "renewTime"),
            cloud_id=text(item, "metadata", "annotations", names.CLOUD_ID_ANNOTATION),
            gateway_cidrs=tuple(
                filter(None, text(item, "metadata", "annotations", names.GATEWAY_CIDRS_ANNOTATION).split(","))
            ),
        )
        for item in items
    )
    return {lease.name: lease for lease in found}


def is_current(lease: Lease | None) -> TypeGuard[Lease]:
    """Whether the process that renews the Lease runs."""
    return lease is not None and not lease.is_old


def cloud_id(found: Mapping[str, Lease] | None, cloud: Cloud) -> str:
    """As the controller publishes it, or as objects have it; empty if it cannot be read."""
    controller = (found or {}).get(names.CONTROLLER)
    return (controller.cloud_id if controller else "") or cloud.cloud_id


def findings(found: Mapping[str, Lease] | None, nodes: Iterable[Node]) -> tuple[Finding, ...]:
    """Processes that do not run; none if the Leases could not be read."""
    return () if found is None else tuple(_findings(found, nodes))


def _findings(found: Mapping[str, Lease], nodes: Iterable[Node]) -> Iterator[Finding]:
    controller = found.get(names.CONTROLLER)
    if not is_current(controller):
        message = f"No controller is active: {_observation(controller)}. Stretched networks keep working."
        yield _finding(names.CONTROLLER, message)
    for node in nodes:
        name = names.agent_lease(node.name)
        agent = found.get(name)
        if not is_current(agent):
            message = f"The agent of {node.name} does not run: {_observation(agent)}. What is shown of it is old."
            yield _finding(name, message)


def _observation(lease: Lease | None) -> str:
    if lease is None:
        return "its Lease does not exist"
    if not lease.holder or lease.age_seconds is None:
        return "nobody holds its Lease"
    return f"its Lease was renewed {duration(lease.age_seconds)} ago by this computer's clock"


def _finding(name: str, message: str) -> Finding:
    command = f"kubectl get lease -n {names.SYSTEM_NAMESPACE} {name} -o yaml"
    return Finding("Lease", names.SYSTEM_NAMESPACE, name, "", "", message, command)
