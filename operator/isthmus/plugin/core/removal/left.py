"""What Isthmus still has in use in this cloud."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from isthmus.model import names

from ..documents import Document, entries, text, texts

# In the order in which they go: what is deleted, then what the controller deletes because of that. PortSlices, of which
# there may be tens of thousands, are in the namespaces of peers, which go before their CloudPeers do.
KINDS: Final = {
    "networkexpansions": "NetworkExpansion",
    "cloudpeers": "CloudPeer",
    "attachments": "Attachment",
    "expansionlinks": "ExpansionLink",
    "peerlinks": "PeerLink",
    "gatewaynodes": "GatewayNode",
}
_CONTROLLERS: Final = ("Attachment", "ExpansionLink", "PeerLink")


class Stage(Enum):
    """What is removed together; the next stage needs the end of this one."""

    NETWORKS = "networks"
    PEERS = "peers"
    REST = "rest"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Remaining:
    """An object that is still there."""

    kind: str
    namespace: str
    name: str
    is_terminating: bool
    finalizers: tuple[str, ...]
    reason: str
    message: str
    """Of condition Ready, or of the first one that is not True."""

    @property
    def label(self) -> str:
        """`NetworkExpansion shop/web`."""
        return f"{self.kind} " + (f"{self.namespace}/{self.name}" if self.namespace else self.name)


@dataclass(frozen=True)
class RemainingPeer(Remaining):
    """A CloudPeer."""

    is_unreachable: bool
    is_forgotten: bool


@dataclass(frozen=True)
class Left:
    """Everything that is in use."""

    expansions: tuple[Remaining, ...] = ()
    peers: tuple[RemainingPeer, ...] = ()
    rest: tuple[Remaining, ...] = ()
    """What the controller deletes, and gateway nodes that still have connections."""
    replicas: int = 0
    """Number of replicas of peers' networks."""

    @property
    def stage(self) -> Stage:
        """What is next."""
        if self.expansions:
            return Stage.NETWORKS
        return Stage.PEERS if self.peers else Stage.REST if self.rest else Stage.NOTHING

    @property
    def all(self) -> tuple[Remaining, ...]:
        """In the order in which they go."""
        return (*self.expansions, *self.peers, *self.rest)

    @property
    def current(self) -> tuple[Remaining, ...]:
        """Those of the current stage."""
        return {Stage.NETWORKS: self.expansions, Stage.PEERS: self.peers}.get(self.stage, self.rest)


def left(items: Iterable[Document]) -> Left:
    """From a `List` of kubectl."""
    by_kind: dict[str, list[Document]] = {}
    for item in items:
        by_kind.setdefault(text(item, "kind"), []).append(item)
    attachments = by_kind.get("Attachment", [])
    nodes = [item for item in by_kind.get("GatewayNode", []) if entries(item, "status", "connections")]
    rest = [item for kind in _CONTROLLERS for item in by_kind.get(kind, [])] + nodes
    return Left(
        expansions=tuple(map(_remaining, by_kind.get("NetworkExpansion", []))),
        peers=tuple(map(_peer, by_kind.get("CloudPeer", []))),
        rest=tuple(map(_remaining, rest)),
        replicas=sum(text(item, "spec", "role") == "Receiver" for item in attachments),
    )


def _remaining(item: Document) -> Remaining:
    return Remaining(*_common(item))


def _peer(item: Document) -> RemainingPeer:
    conditions = entries(item, "status", "conditions")
    return RemainingPeer(
        *_common(item),
        is_unreachable=any(text(c, "type") == "Reachable" and text(c, "status") == "False" for c in conditions),
        is_forgotten=text(item, "metadata", "annotations", names.FORGET_ANNOTATION) == "true",
    )


def _common(item: Document) -> tuple[str, str, str, bool, tuple[str, ...], str, str]:
    conditions = entries(item, "status", "conditions")
    wrong = [condition for condition in conditions if text(condition, "status") == "False"]
    why = next((c for c in (*wrong, *conditions) if text(c, "type") == "Ready"), next(iter(wrong), {}))
    message = text(why, "message")
    if connections := entries(item, "status", "connections"):
        peers = sorted({text(connection, "cloudID") for connection in connections})
        message = f"it has connections to {', '.join(peers)}"
    return (
        text(item, "kind"),
        text(item, "metadata", "namespace"),
        text(item, "metadata", "name"),
        text(item, "metadata", "deletionTimestamp") != "",
        texts(item, "metadata", "finalizers"),
        text(why, "reason"),
        message,
    )
