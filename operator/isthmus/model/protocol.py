"""Versions of the protocol between two clouds (docs/protocol.md, section 13), and what each of them brought."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

# Stays 1 for ever: clouds that know no list of versions have no agreement with a cloud that publishes another value.
PROTOCOL_VERSION: Final = 1
PROTOCOL_VERSIONS: Final = (1, 2, 3)
"""The versions that this cloud speaks, in ascending order."""

READ_AS: Final = 12
"""Number of the reader of peers' objects, to be raised whenever it understands more of them than before.

It is stored beside what was read: a newer controller reads again what an older one understood in part.
"""


class Feature(StrEnum):
    """What two clouds may use only if both speak the version that brought it."""

    PORT_SLICES = "PortSlices"
    """Ports travel in PortSlices, and not in the ExpansionLink."""
    GROWTH = "Growth"
    """A slice may have further ranges, and a receiver says where it has few addresses left."""
    GATEWAY_CHOICE = "gatewayChoice"
    """The replica's gateway may be one of the receiver's own, or none."""
    MEMBERS = "Members"
    """Receivers of one network reach each other through its origin."""
    DIRECT_PATHS = "DirectPaths"
    """Two receivers of one network, named to each other by its origin, reach each other by their own tunnel."""
    IPV6 = "IPv6"
    """IPv6 subnets are offered, and ports have IPv6 addresses."""
    REMOTE_PORTS = "RemotePorts"
    """Published ports say which of their addresses are fixed, so that ports of the reader can stand for them."""
    SECURITY_GROUPS = "SecurityGroups"
    """Published ports name their security groups, and remote ports are in the groups of those names."""


_SINCE: Final[Mapping[Feature, int]] = MappingProxyType(
    {
        Feature.PORT_SLICES: 2,
        Feature.GROWTH: 3,
        Feature.GATEWAY_CHOICE: 3,
        Feature.MEMBERS: 3,
        Feature.DIRECT_PATHS: 3,
        Feature.IPV6: 3,
        Feature.REMOTE_PORTS: 3,
        Feature.SECURITY_GROUPS: 3,
    }
)


def agreed_version(ours: Collection[int], theirs: Collection[int]) -> int | None:
    """The greatest version that both speak; None if there is none."""
    return max(set(ours) & set(theirs), default=None)


def features_of(version: int | None) -> frozenset[Feature]:
    """What two clouds may use that agreed on this version."""
    return frozenset(feature for feature, since in _SINCE.items() if version is not None and version >= since)
