"""Notices changes of security groups, and of which ports are in them, on networks that match them by name.

Summaries of networks show neither, and Neutron has no list of what changed (`changed_since` is refused unless
`filter_validation` is disabled). So a short list of these networks' ports and of their projects' groups is compared
with the one before, at a pace that follows their length. Only what differs is read in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Final

from isthmus.core.network.security_groups import may_match_groups
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.facts.openstack import Network, SecurityGroup
from isthmus.ports import NetworkCloud

_SECONDS: Final = 4.0
_LISTED_PER_SECOND: Final = 250.0  # ports and groups: long lists are what costs Neutron most


class GroupFeed:
    """What was seen at the last look. Used by one thread at a time."""

    def __init__(self, cloud: NetworkCloud) -> None:
        self._cloud = cloud
        self._seen: Mapping[str, Hashable] = {}
        """By link name, the groups of the network's ports and the groups of its project."""
        self.pause_seconds = _SECONDS
        """Until the next look."""

    def changed(self, snapshot: Snapshot, networks: Mapping[str, Network]) -> frozenset[str]:
        """Link names of the networks, of these by link name, that differ from the last look. Raises ExternalError.

        OpenStack is asked for nothing of networks whose groups are their cloud's own.
        """
        matched = {name: network for name, network in networks.items() if may_match_groups(snapshot, name)}
        if not matched:
            self._seen, self.pause_seconds = {}, _SECONDS
            return frozenset()
        ports = self._cloud.port_groups_of(*sorted({network.id for network in matched.values()}))
        groups = self._cloud.security_groups_of(*sorted({network.project_id for network in matched.values()}))
        by_project: dict[str, set[SecurityGroup]] = defaultdict(set)
        for group in groups:
            by_project[group.project_id].add(group)
        self.pause_seconds = max(_SECONDS, (sum(map(len, ports.values())) + len(groups)) / _LISTED_PER_SECOND)
        before, self._seen = (
            self._seen,
            {
                name: (ports.get(network.id, frozenset()), frozenset(by_project[network.project_id]))
                for name, network in matched.items()
            },
        )
        return frozenset(name for name, seen in self._seen.items() if before.get(name) != seen)
