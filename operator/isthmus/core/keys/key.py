"""One unit of reconciliation."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Subject(IntEnum):
    """What a key stands for, in the order in which keys are first reconciled: networks need agreements."""

    GATEWAY_NODES = 0
    PEER = 1
    NETWORK = 2


class Key(NamedTuple):
    """One CloudPeer by its name, one network by its link name, or all GatewayNodes."""

    subject: Subject
    name: str

    def __str__(self) -> str:
        return self.name


GATEWAY_NODES: Final = Key(Subject.GATEWAY_NODES, "gateway nodes")


def peer_key(name: str) -> Key:
    """The key of the CloudPeer with that name."""
    return Key(Subject.PEER, name)


def network_key(link_name: str) -> Key:
    """The key of the network with that link name."""
    return Key(Subject.NETWORK, link_name)
