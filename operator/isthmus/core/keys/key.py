"""One unit of reconciliation."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Subject(IntEnum):
    """What a key stands for, in the order in which keys are first reconciled: networks need agreements."""

    GATEWAY_NODES = 0
    PEER = 1
    NETWORK = 2
    NOT_UNDERSTOOD = 3


class Key(NamedTuple):
    """One CloudPeer by its name, one network by its link name, all GatewayNodes, or all objects not understood."""

    subject: Subject
    name: str

    def __str__(self) -> str:
        return self.name


GATEWAY_NODES: Final = Key(Subject.GATEWAY_NODES, "gateway nodes")

NOT_UNDERSTOOD: Final = Key(Subject.NOT_UNDERSTOOD, "objects that are not understood")


def peer_key(name: str) -> Key:
    """The key of the CloudPeer with that name."""
    return Key(Subject.PEER, name)


def network_key(link_name: str) -> Key:
    """The key of the network with that link name."""
    return Key(Subject.NETWORK, link_name)
