"""Carried security groups: whatever the origin's rules and whatever is at a receiver, ours there are never wider."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.carried_groups import carried_groups, group_actions
from isthmus.core.network.security_groups import groups_by_name
from isthmus.model import names
from isthmus.model.actions import CreateSecurityGroup, UpdateSecurityGroup
from isthmus.model.api.v1alpha1.expansionlink import GroupMatching
from isthmus.model.facts.openstack import AllowedTraffic, Network, NetworkFacts, Port, SecurityGroup, SecurityGroupRule

ORIGIN = "cloud-a"
NAMES = ("default", "web", "db", "odd\u202e")
PREFIXES = (None, "192.0.2.0/24", "0.0.0.0/0")
matchings: st.SearchStrategy[GroupMatching] = st.sampled_from(["ByName", "ByNameAndDefault"])


def traffic(remotes: list[str]) -> st.SearchStrategy[AllowedTraffic]:
    """`remotes` are the IDs of groups."""
    named = st.builds(AllowedTraffic, st.just("ingress"), st.just(4), remote_group=st.sampled_from(remotes))
    return named | st.builds(
        AllowedTraffic, st.sampled_from(["ingress", "egress"]), st.just(4), remote_prefix=st.sampled_from(PREFIXES)
    )


@st.composite
def groups(draw: st.DrawFn, description: st.SearchStrategy[str]) -> tuple[SecurityGroup, ...]:
    """Some names several times; rules name groups of the project and of others, or what cannot be said."""
    held = [*draw(st.sampled_from(([], ["web", "db"], ["db", "default", "web"], ["db", "db"])))]
    held += draw(st.lists(st.sampled_from(NAMES), max_size=1))
    ids = [f"g{number}" for number in range(len(held))]
    rules = st.lists(traffic([*ids, "elsewhere"]) | st.none(), max_size=4)
    return tuple(
        SecurityGroup(
            id_, name, "p", draw(st.booleans()), draw(description), draw(st.integers(0, 9)), _numbered(id_, drawn)
        )
        for id_, name in zip(ids, held, strict=True)
        for drawn in (draw(rules),)
    )


def _numbered(group_id: str, allowed: list[AllowedTraffic | None]) -> tuple[SecurityGroupRule, ...]:
    return tuple(SecurityGroupRule(f"{group_id}-{number}", each) for number, each in enumerate(allowed))


def facts(found: tuple[SecurityGroup, ...], used: frozenset[int] = frozenset()) -> NetworkFacts:
    members = tuple(group.id for number, group in enumerate(found) if number in used)
    port = Port("port", "", "n", "p", "fa:16:3e:00:00:01", (), "compute:nova", "ACTIVE", "", groups=members)
    return NetworkFacts("operator", Network("n", "web", "p", 1400), ports=(port,), groups=found)


def applied(before: NetworkFacts, action: object, numbers: count[int]) -> NetworkFacts:
    """As Neutron does it; it refuses a rule twice, and one whose group does not exist."""
    held = {group.id: group for group in before.groups or ()}
    if isinstance(action, CreateSecurityGroup):
        out = [AllowedTraffic("egress", version) for version in (4, 6)]
        id_ = f"new{next(numbers)}"
        held[id_] = SecurityGroup(id_, action.name, "p", action.stateful, action.description, 1, _numbered(id_, [*out]))
    else:
        assert isinstance(action, UpdateSecurityGroup)
        group = held[action.id]
        kept = [rule for rule in group.rules or () if rule.id not in action.removed_rules]
        for allowed in action.added_rules:
            assert allowed.remote_group in (None, *held)
            assert allowed not in [rule.allowed for rule in kept], "409"
            kept.append(SecurityGroupRule(f"{group.id}+{next(numbers)}", allowed))
        held[group.id] = replace(group, rules=tuple(kept), description=action.description)
    return replace(before, groups=tuple(held.values()))


def said(group: SecurityGroup, all_groups: tuple[SecurityGroup, ...], unknown: str) -> set[AllowedTraffic]:
    """What it allows, by names of groups; anybody without a prefix.

    `unknown` stands for a group of elsewhere, or of a name that several groups have.
    """
    held = Counter(each.name for each in all_groups)
    by_id = {each.id: each.name for each in all_groups if held[each.name] == 1}
    found = set()
    for allowed in (rule.allowed for rule in group.rules or ()):
        if allowed is not None:
            prefix = None if allowed.remote_prefix == "0.0.0.0/0" else allowed.remote_prefix
            remote = by_id.get(allowed.remote_group, unknown) if allowed.remote_group else None
            found.add(replace(allowed, remote_prefix=prefix, remote_group=remote))
    return found


OURS = st.sampled_from([names.carried_group(ORIGIN, 0), names.carried_group(ORIGIN, 5), "somebody's", ""])


@given(groups(st.just("")), st.sets(st.integers(0, 4), min_size=3).map(frozenset), groups(OURS), matchings)
def test_ours_are_never_wider_and_others_are_left(
    origin: tuple[SecurityGroup, ...],
    used: frozenset[int],
    theirs: tuple[SecurityGroup, ...],
    matching: GroupMatching,
) -> None:
    here = facts(origin, used)
    carried = carried_groups(here, groups_by_name(here, matching))
    assert carried is not None
    before = after = facts(theirs)
    numbers = count()
    for _ in range(4):
        actions = group_actions(after, carried.groups, ORIGIN)
        for action in actions:
            after = applied(after, action, numbers)
        if not actions:
            break
    assert not group_actions(after, carried.groups, ORIGIN), "settled"
    offered = {group.name: group for group in carried.groups}
    assert "default" not in offered
    by_name = {group.name: group for group in origin if group.name in offered}
    kept = {group.id: group for group in before.groups or ()}
    for group in after.groups or ():
        revision = names.carried_revision(group.description, ORIGIN)
        if group == kept.get(group.id):
            continue
        old = names.carried_revision(kept[group.id].description, ORIGIN) if group.id in kept else 0
        assert revision is not None
        assert old is not None, "only what we have made is changed"
        assert old <= revision == offered[group.name].revision
        assert said(group, after.groups or (), "there") <= said(by_name[group.name], origin, "here")
    assert offered.keys() <= {group.name for group in after.groups or ()}
