"""What is removed next, and why something stays."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from isthmus.model import names
from isthmus.model.text import listed

from ..leases import Lease, is_current
from ..refusals import Refused
from .left import Left, Remaining, RemainingPeer, Stage

_AT_ONCE: Final = 100
"""Names on one command line."""


@dataclass(frozen=True)
class Delete:
    """Delete objects of one kind and one namespace."""

    kind: str
    namespace: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Forget:
    """Annotate a CloudPeer, so that its deletion does not wait for the peer."""

    name: str


def steps(left: Left, *, forget_unreachable: bool) -> list[Delete | Forget]:
    """What to do now; nothing if all that can be deleted is being deleted."""
    return list(_steps(left, forget_unreachable))


def _steps(left: Left, forget_unreachable: bool) -> Iterator[Delete | Forget]:
    if left.stage is Stage.PEERS:
        for peer in left.peers:
            if forget_unreachable and peer.is_unreachable and not peer.is_forgotten:
                yield Forget(peer.name)
    if left.stage not in (Stage.NETWORKS, Stage.PEERS):
        return
    by_namespace: dict[tuple[str, str], list[str]] = {}
    for each in left.current:
        if not each.is_terminating:
            by_namespace.setdefault((each.kind, each.namespace), []).append(each.name)
    for (kind, namespace), found in by_namespace.items():
        for first in range(0, len(found), _AT_ONCE):
            yield Delete(kind, namespace, tuple(found[first : first + _AT_ONCE]))


def require_controller(left: Left, processes: Mapping[str, Lease]) -> None:
    """Raise Refused if nobody would remove the finalizers."""
    controller = processes.get(names.CONTROLLER)
    held = [each for each in left.all if each.kind != "GatewayNode"]
    if held and not is_current(controller):
        raise Refused(
            f"no controller is active, and without it nothing can be withdrawn: {_listed(held)}. Start it, see "
            "kubectl isthmus status, and run the command again"
        )


def require_not_restored(left: Left, removed: Collection[str]) -> None:
    """Raise Refused if something that was withdrawn is there again: it would be withdrawn for ever."""
    if again := next((each for each in (*left.expansions, *left.peers) if each.label in removed), None):
        raise Refused(
            f"{again.label} was created again after it had been withdrawn: stop what creates it, GitOps for instance, "
            "and run the command again"
        )


def hanging(left: Left, processes: Mapping[str, Lease], seconds: int) -> Refused:
    """Which object has not gone, and why."""
    first = min(left.current, key=lambda each: not each.message)
    others = len(left.current) - 1
    more = f" (and {others} more)" if others else ""
    why = "; ".join(_why(first, left, processes))
    return Refused(f"{first.label}{more} is still there, and nothing has gone for {seconds} s: {why}. {_ADVICE}")


_ADVICE: Final = "What is gone stays gone: run the command again to go on"


def _why(each: Remaining, left: Left, processes: Mapping[str, Lease]) -> Iterator[str]:
    yield each.message or "the controller has not reported why"
    if isinstance(each, RemainingPeer) and not each.is_forgotten:
        yield f"if that cloud is gone for good: kubectl isthmus forget {each.name}"
    controller = processes.get(names.CONTROLLER)
    if not is_current(controller):
        yield "no controller is active"
    if each.kind == "GatewayNode":
        agent = processes.get(names.agent_lease(each.name))
        if not is_current(agent):
            yield f"its agent does not run; if that node is gone: kubectl label node {each.name} {names.GATEWAY_LABEL}-"
    if ours := [name for name in each.finalizers if name == names.FINALIZER]:
        yield f"its finalizer is {ours[0]}"
    if foreign := [name for name in each.finalizers if name != names.FINALIZER]:
        yield f"finalizers that are not of Isthmus: {', '.join(foreign)}"
    others = (other for other in left.rest if other.kind == "Attachment" and other.message and other is not each)
    if attachment := next(others, None):
        yield f"{attachment.label}: {attachment.message}"


def summary(cloud_id: str, left: Left, installation: str, *, forget_unreachable: bool) -> list[str]:
    """What goes, before it is asked for."""
    peers = [_peer_text(peer, forget_unreachable) for peer in left.peers]
    lines = [
        f"Isthmus is removed from {cloud_id or 'this cloud'}:",
        f"  networks      {_listed(left.expansions)}",
        f"  replicas      {left.replicas} of peers' networks, each when no machine is left on it",
        f"  peers         {', '.join(peers) or 'none'}",
        f"  installation  {installation}",
    ]
    if left.all:
        lines.append("Machines on both sides lose the connection.")
    return lines


def _peer_text(peer: RemainingPeer, forget_unreachable: bool) -> str:
    if not peer.is_unreachable:
        return peer.name
    return f"{peer.name} ({'not reachable: forgotten' if forget_unreachable else 'not reachable: will be waited for'})"


def _listed(objects: tuple[Remaining, ...] | list[Remaining]) -> str:
    return listed([each.label.partition(" ")[2] for each in objects], more=" and {} more") or "none"
