"""Security groups by name: which names a cloud publishes of its ports, and which of its groups a remote port is in.

Rules whose remote is a group then admit machines of other clouds that are in a group of the same name there. Nothing is
created and no rule is written. A name counts only if the project of the network has exactly one group of it, so that it
means one group in each cloud.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from isthmus.core.snapshot.conditions import true
from isthmus.core.snapshot.facets import peers_offer
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionlink import MAX_GROUPS_PER_PORT, GroupMatching, PublishedPort
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import NetworkFacts, Port, SecurityGroup
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import printable
from isthmus.model.types import MAX_GROUP_NAME_CHARACTERS

DEFAULT: Final = "default"

GroupsByName = Mapping[str, SecurityGroup]
"""The security groups of a network's project that count, by their names."""


def chosen_matching(expansion: NetworkExpansion | None) -> GroupMatching | None:
    """What the tenant chose, as it is offered; None if groups are each cloud's own."""
    if expansion is None or expansion.spec.security_groups == "Separate":
        return None
    return "ByNameAndDefault" if expansion.spec.default_group == "Joined" else "ByName"


def may_match_groups(snapshot: Snapshot, link_name: str) -> bool:
    """Whether the groups of the network's project have to be known, in this cloud as its origin or as a receiver."""
    cloud_id = link_name.partition(".")[0]
    if cloud_id == snapshot.own.cloud_id:
        return any(chosen_matching(expansion) is not None for expansion in snapshot.expansions_of(link_name))
    offer = peers_offer(snapshot.link(cloud_id, link_name))
    return offer is not None and offer.group_matching is not None


def may_carry_groups(snapshot: Snapshot, link_name: str) -> bool:
    """Whether the rules of these groups have to be known, too."""
    cloud_id = link_name.partition(".")[0]
    if cloud_id == snapshot.own.cloud_id:
        return any(expansion.spec.security_groups == "Carried" for expansion in snapshot.expansions_of(link_name))
    offer = peers_offer(snapshot.link(cloud_id, link_name))
    return offer is not None and offer.carried_groups is not None


def groups_by_name(facts: NetworkFacts | None, matching: GroupMatching | None) -> GroupsByName:
    """The groups that count. Names that several groups have do not, nor those that cannot be published."""
    if facts is None or matching is None:
        return {}
    held = Counter(group.name for group in facts.groups or ())
    return {
        group.name: group
        for group in facts.groups or ()
        if held[group.name] == 1 and _counts(group.name, matching) and _is_publishable(group.name)
    }


def published_groups(port: Port, name_by_id: Mapping[str, str]) -> tuple[str, ...] | None:
    """The names that are published with a port, the first of them in order; None if there are none."""
    return tuple(sorted(name_by_id[id_] for id_ in port.groups if id_ in name_by_id))[:MAX_GROUPS_PER_PORT] or None


def counted_names(port: PublishedPort, matching: GroupMatching | None) -> tuple[str, ...]:
    """Those of the names that another cloud publishes with a port that this network has count."""
    if matching is None:
        return ()
    return tuple(sorted({name for name in port.groups or () if _counts(name, matching)}))


def joined_groups(port: PublishedPort, groups: GroupsByName) -> tuple[str, ...]:
    """IDs of the groups in this cloud that a remote port is in, in order.

    Neutron refuses stateful and stateless groups on one port: then the stateful ones are left.
    """
    found = [groups[name] for name in {*(port.groups or ())} if name in groups]
    stateful = [group for group in found if group.stateful]
    return tuple(sorted(group.id for group in stateful or found))


def group_conditions(matching: GroupMatching | None, limit: int, too_old: Sequence[str] = ()) -> list[Condition]:
    """True if groups are wanted to be one and cannot be; none otherwise.

    `limit` is that of remote ports; `too_old` are the cloud IDs of peers that do not know it.
    """
    if matching is not None and limit == 0:
        text = "no machine of another cloud is in a security group here: remote_ports_per_network is 0"
        return [true(ConditionType.GROUPS_IGNORED, Reason.REMOTE_PORTS_OFF, text)]
    if matching is not None and too_old:
        text = f"not before their Isthmus is upgraded: {', '.join(too_old)}"
        return [true(ConditionType.GROUPS_IGNORED, Reason.PEER_TOO_OLD, text)]
    return []


def _counts(name: str, matching: GroupMatching) -> bool:
    return name != DEFAULT or matching == "ByNameAndDefault"


def _is_publishable(name: str) -> bool:
    return 0 < len(name) <= MAX_GROUP_NAME_CHARACTERS and name == printable(name)
