"""Security groups that are carried along: the origin offers those in use on a network, receivers make them.

Never wider than written: a rule that cannot be said exactly at a receiver is left out, and reported. Whose members a
rule with a remote group admits there is decided by name (`security_groups.py`), so a group is carried only if its name
counts. `default` is never made: every project has one of its own.

Several networks of one project may carry the same group. Each offer has the group's revision, and so has the
description of the group at the receiver: what is older changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from isthmus.core.snapshot.conditions import true
from isthmus.model import names
from isthmus.model.actions import Action, CreateSecurityGroup, UpdateSecurityGroup
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.expansionlink import (
    MAX_CARRIED_GROUPS,
    MAX_RULES_PER_GROUP,
    OfferedGroup,
    OfferedRule,
)
from isthmus.model.facts.openstack import AllowedTraffic, NetworkFacts, SecurityGroup, SecurityGroupRule
from isthmus.model.reasons import ConditionType, Reason
from isthmus.model.text import listed

from .security_groups import DEFAULT, GroupsByName

_ANYBODY: Final = {4: "0.0.0.0/0", 6: "::/0"}
_MAX_MESSAGE_CHARACTERS: Final = 1024
GroupsByID = Mapping[str, SecurityGroup]


@dataclass(frozen=True)
class CarriedGroups:
    """What the origin offers of its security groups."""

    groups: tuple[OfferedGroup, ...] = ()
    """By name."""
    left_out: tuple[str, ...] = ()
    """Groups and rules that no receiver makes, in words."""


def carried_groups(facts: NetworkFacts, groups: GroupsByName) -> CarriedGroups | None:
    """The groups that are in use on the network, also by machines elsewhere, and those that their rules name.

    `groups` are those that count by name. None if their rules are not known.
    """
    if any(group.rules is None for group in groups.values()):
        return None
    ids = {group.id: group for group in groups.values()}
    used = {id_ for port in facts.ports for id_ in port.groups if id_ in ids}
    found = sorted((ids[id_] for id_ in _with_named(used, ids)), key=lambda group: group.name)
    wanted = [group for group in found if group.name != DEFAULT]
    offered = [group for group in wanted if len(group.rules or ()) <= MAX_RULES_PER_GROUP][:MAX_CARRIED_GROUPS]
    too_large = (f"security group {group.name}" for group in wanted if group not in offered)
    unsaid = (f"rule {rule_id} of security group {group.name}" for group in offered for rule_id in _unsaid(group, ids))
    return CarriedGroups(tuple(_offered(group, ids) for group in offered), (*too_large, *unsaid))


def group_actions(facts: NetworkFacts, offered: Iterable[OfferedGroup], cloud_id: str) -> tuple[Action, ...]:
    """Make the groups that an origin offers in the project of its replica, and then have their rules as they are there.

    A rule that names a group waits for that.
    """
    if facts.network is None or facts.groups is None:
        return ()
    held = _by_name(facts.groups)
    found: list[Action] = []
    for group in offered:
        ours = held.get(group.name)
        if ours is None:
            marker = names.carried_group(cloud_id, 0)
            found.append(CreateSecurityGroup(facts.network.project_id, group.name, marker, group.stateful))
        elif len(ours) == 1 and _is_carried(ours[0], group, cloud_id):
            found += _updates(ours[0], group, held, cloud_id)
    return tuple(found)


def carrying_conditions(left_out: Iterable[str]) -> list[Condition]:
    """At the origin: true if not all groups and rules are carried; none otherwise."""
    text = listed(tuple(left_out), more=", and {} more")
    if not text:
        return []
    message = f"not made in other clouds: {text}; rules there admit less than here"
    return [true(ConditionType.GROUPS_INCOMPLETE, Reason.RULES_NOT_CARRIED, message[:_MAX_MESSAGE_CHARACTERS])]


def replica_conditions(facts: NetworkFacts | None, offered: Iterable[OfferedGroup], cloud_id: str) -> list[Condition]:
    """At a receiver: true if groups of these names are there that we have not made; none otherwise."""
    held = _by_name(facts.groups or ()) if facts is not None else {}
    taken = [
        group.name
        for group in offered
        if (ours := held.get(group.name)) and not (len(ours) == 1 and _is_ours(ours[0], group, cloud_id))
    ]
    if not taken:
        return []
    message = f"the project has a security group of its own by this name, whose rules are left: {listed(taken)}"
    return [true(ConditionType.GROUPS_INCOMPLETE, Reason.GROUP_EXISTS, message[:_MAX_MESSAGE_CHARACTERS])]


def _with_named(used: Collection[str], ids: GroupsByID) -> set[str]:
    """These groups and those that their rules name, and so on."""
    found, unseen = set(used), list(used)
    while unseen:
        allowed = (_sayable(rule, ids) for rule in ids[unseen.pop()].rules or ())
        named = {each.remote_group for each in allowed if each is not None and each.remote_group} - found
        unseen += named
        found |= named
    return found


def _unsaid(group: SecurityGroup, ids: GroupsByID) -> tuple[str, ...]:
    """IDs of the rules that cannot be said to others."""
    return tuple(rule.id for rule in group.rules or () if _sayable(rule, ids) is None)


def _offered(group: SecurityGroup, ids: GroupsByID) -> OfferedGroup:
    sayable = (_sayable(rule, ids) for rule in group.rules or ())
    rules = {_offered_rule(allowed, ids) for allowed in sayable if allowed is not None}
    revision, ordered = group.revision or 0, tuple(sorted(rules, key=repr))
    return OfferedGroup(name=group.name, stateful=group.stateful, revision=revision, rules=ordered)


def _sayable(rule: SecurityGroupRule, ids: GroupsByID) -> AllowedTraffic | None:
    """What the rule allows, if others know the group that it names."""
    allowed = rule.allowed
    return allowed if allowed is not None and (not allowed.remote_group or allowed.remote_group in ids) else None


def _offered_rule(allowed: AllowedTraffic, ids: GroupsByID) -> OfferedRule:
    return OfferedRule(
        direction="ingress" if allowed.direction == "ingress" else "egress",
        ip_version=6 if allowed.ip_version == 6 else 4,
        protocol=allowed.protocol,
        first=allowed.first,
        last=allowed.last,
        remote_prefix=None if allowed.remote_group else allowed.remote_prefix or _ANYBODY[allowed.ip_version],
        remote_group=ids[allowed.remote_group].name if allowed.remote_group else None,
    )


def _by_name(groups: Iterable[SecurityGroup]) -> dict[str, list[SecurityGroup]]:
    found: dict[str, list[SecurityGroup]] = {}
    for group in groups:
        found.setdefault(group.name, []).append(group)
    return found


def _is_ours(ours: SecurityGroup, offered: OfferedGroup, cloud_id: str) -> bool:
    return names.carried_revision(ours.description, cloud_id) is not None and ours.stateful == offered.stateful


def _is_carried(ours: SecurityGroup, offered: OfferedGroup, cloud_id: str) -> bool:
    """Whether we have made it, and what is offered is not older than what it has."""
    revision = names.carried_revision(ours.description, cloud_id)
    return _is_ours(ours, offered, cloud_id) and revision is not None and revision <= offered.revision


def _updates(
    ours: SecurityGroup, offered: OfferedGroup, held: Mapping[str, list[SecurityGroup]], cloud_id: str
) -> Iterator[UpdateSecurityGroup]:
    wanted = {allowed for rule in offered.rules if (allowed := _allowed(rule, held)) is not None}
    present = {rule.allowed: rule.id for rule in ours.rules or () if rule.allowed is not None}
    removed = [rule.id for rule in ours.rules or () if rule.allowed not in wanted or present[rule.allowed] != rule.id]
    marker = names.carried_group(cloud_id, offered.revision)
    added = sorted(wanted - present.keys(), key=repr)
    if removed or added or ours.description != marker:
        yield UpdateSecurityGroup(ours.id, marker, tuple(removed), tuple(added))


def _allowed(rule: OfferedRule, held: Mapping[str, list[SecurityGroup]]) -> AllowedTraffic | None:
    """With the ID of the remote group in this cloud; None while there is not exactly one of that name.

    And of a rule that says neither prefix nor group: a newer origin may restrict it by what is not known here.
    """
    prefix = None if rule.remote_prefix in _ANYBODY.values() else rule.remote_prefix
    allowed = AllowedTraffic(rule.direction, rule.ip_version, rule.protocol, rule.first, rule.last, prefix)
    if rule.remote_group is None:
        return allowed if rule.remote_prefix is not None else None
    named = held.get(rule.remote_group, [])
    return replace(allowed, remote_group=named[0].id) if len(named) == 1 else None
