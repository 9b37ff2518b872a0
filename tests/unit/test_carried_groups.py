"""Security groups carried along: a receiver has the origin's groups with their rules, and never a wider one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.network.carried_groups import carried_groups, group_actions
from isthmus.core.network.security_groups import groups_by_name
from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.expansionlink import MAX_CARRIED_GROUPS, OfferedGroup
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import AllowedTraffic, Network, NetworkFacts, Port, SecurityGroup, SecurityGroupRule
from tests.fakes.federation import FakeCloud, reason
from tests.unit.test_security_groups import Groups

SSH = AllowedTraffic("ingress", 4, 6, 22, 22, "192.0.2.0/24")
PING = AllowedTraffic("ingress", 4, 1, 8)


class Carrying(Groups):
    """With a machine in group `web` of A, whose rules are carried."""

    def __init__(self, clouds: str = "ab") -> None:
        super().__init__("Separate", clouds=clouds)
        for cloud in self.federation.clouds[1:]:
            cloud.neutron.security_groups.pop(self.web[cloud].id)
        self.boot(self.a, self.web[self.a])
        self.choose("Carried")

    def allow(self, *allowed: AllowedTraffic) -> None:
        """Add rules to the group `web` of A."""
        self.a.neutron.security_groups.allow(self.web[self.a].id, *allowed)
        self.settle()

    def rules(self, cloud: FakeCloud, name: str = "web") -> set[AllowedTraffic] | None:
        """What the group of that name allows, by names of groups; None if there is none."""
        groups = cloud.neutron.security_groups
        found = [g for g in groups.values() if g.project_id == self.project_at(cloud) and g.name == name]
        if not found:
            return None
        (group,) = found
        allowed = [rule.allowed for rule in group.rules or () if rule.allowed is not None]
        return {replace(a, remote_group=groups[a.remote_group].name if a.remote_group else None) for a in allowed}

    def incomplete(self, cloud: FakeCloud) -> tuple[str, str] | None:
        """Reason and message of GroupsIncomplete."""
        obj = self.a.expansion() if cloud is self.a else cloud.attachments()[0]
        assert obj is not None
        found = condition_of(obj.status.conditions, "GroupsIncomplete")
        return (found.reason, found.message) if found is not None else None


@pytest.fixture
def carrying() -> Carrying:
    return Carrying()


def test_groups_in_use_are_made_with_the_groups_that_their_rules_name(carrying: Carrying) -> None:
    database, unused = (carrying.group(carrying.a, name) for name in ("db", "unused"))
    carrying.allow(SSH, PING, AllowedTraffic("ingress", 6, remote_group=database.id))
    for name in ("web", "db"):
        assert carrying.rules(carrying.b, name) == carrying.rules(carrying.a, name)
    assert carrying.rules(carrying.b, unused.name) is None
    assert carrying.incomplete(carrying.a) is carrying.incomplete(carrying.b) is None
    web = next(g for g in carrying.b.neutron.security_groups.values() if g.name == "web")
    member = carrying.boot(carrying.b, web)
    assert carrying.names_at(carrying.a, member) == ["web"], "names count as with ByName"


def test_rules_follow_those_of_the_origin(carrying: Carrying) -> None:
    carrying.allow(SSH)
    groups, id_ = carrying.a.neutron.security_groups, carrying.web[carrying.a].id
    (ssh,) = [rule.id for rule in groups[id_].rules or () if rule.allowed == SSH]
    groups.update(id_, "", [ssh], [PING])
    carrying.settle()
    rules = carrying.rules(carrying.b)
    assert rules == carrying.rules(carrying.a)
    assert rules is not None
    assert SSH not in rules


def test_rules_without_a_default_let_nothing_more_out(carrying: Carrying) -> None:
    groups, id_ = carrying.a.neutron.security_groups, carrying.web[carrying.a].id
    groups.update(id_, "", [rule.id for rule in groups[id_].rules or ()], [])
    carrying.settle()
    assert carrying.rules(carrying.b) == set()


def test_what_somebody_changes_at_the_receiver_is_set_back(carrying: Carrying) -> None:
    groups = carrying.b.neutron.security_groups
    (ours,) = [group for group in groups.values() if group.name == "web"]
    groups.allow(ours.id, SSH)
    carrying.b.restart()
    carrying.settle()
    assert carrying.rules(carrying.b) == carrying.rules(carrying.a)


@pytest.mark.parametrize("odd", ["address group", "another project", "default"])
def test_rule_that_cannot_be_said_is_left_out_and_reported(carrying: Carrying, odd: str) -> None:
    groups, id_ = carrying.a.neutron.security_groups, carrying.web[carrying.a].id
    others = {
        "another project": carrying.a.neutron.create_group("else", "web"),
        "default": carrying.default[carrying.a],
    }
    allowed = None if odd == "address group" else AllowedTraffic("ingress", 4, remote_group=others[odd].id)
    rules = (*(groups[id_].rules or ()), SecurityGroupRule("rule-odd", allowed))
    groups[id_] = replace(groups[id_], rules=rules, revision=9)
    carrying.settle()
    assert carrying.rules(carrying.b) == {AllowedTraffic("egress", 4), AllowedTraffic("egress", 6)}
    text = "not made in other clouds: rule rule-odd of security group web; rules there admit less than here"
    assert carrying.incomplete(carrying.a) == ("RulesNotCarried", text)
    assert reason(carrying.a.expansion()) == "Ready"


def test_joined_default_group_may_be_named_and_is_never_made(carrying: Carrying) -> None:
    carrying.choose("Carried", "Joined")
    before = carrying.rules(carrying.b, "default")
    carrying.allow(AllowedTraffic("ingress", 4, remote_group=carrying.default[carrying.a].id))
    assert carrying.rules(carrying.b) == carrying.rules(carrying.a)
    assert carrying.rules(carrying.b, "default") == before


def test_group_of_somebody_else_is_left_and_reported() -> None:
    carrying = Groups("Separate")
    own = carrying.web[carrying.b]
    carrying.boot(carrying.a, carrying.web[carrying.a])
    carrying.a.neutron.security_groups.allow(carrying.web[carrying.a].id, SSH)
    before = carrying.b.neutron.security_groups[own.id]
    carrying.choose("Carried")
    assert carrying.b.neutron.security_groups[own.id] == before
    (attachment,) = carrying.b.attachments()
    found = condition_of(attachment.status.conditions, "GroupsIncomplete")
    assert found is not None
    text = "the project has a security group of its own by this name, whose rules are left: web"
    assert (found.reason, found.message) == ("GroupExists", text)
    assert reason(attachment) == "Ready"


def test_groups_go_with_the_project(carrying: Carrying) -> None:
    for machine in [p for p in carrying.a.neutron.ports.values() if p.device_owner == "compute:nova"]:
        carrying.a.neutron.delete_port(machine.id)
    carrying.b.neutron.security_groups.pop(carrying.default[carrying.b].id)
    carrying.a.kubectl.delete(NetworkExpansion, "web", "shop")
    carrying.settle()
    assert [cloud.neutron.contents() for cloud in carrying.federation.clouds] == carrying.untouched
    assert not carrying.b.neutron.security_groups


def test_every_receiver_has_them() -> None:
    carrying = Carrying("abc")
    carrying.allow(SSH)
    for cloud in carrying.federation.clouds[1:]:
        assert carrying.rules(cloud) == carrying.rules(carrying.a)


def test_groups_stay_when_they_are_carried_no_more(carrying: Carrying) -> None:
    carrying.choose("ByName")
    before = carrying.rules(carrying.b)
    carrying.allow(SSH)
    assert carrying.rules(carrying.b) == before


def test_older_offer_of_another_network_changes_nothing() -> None:
    marker = names.carried_group("cloud-a", 7)
    group = SecurityGroup("g", "web", "p", description=marker, rules=())
    facts = NetworkFacts("operator", Network("n", "web", "p", 1400), groups=(group,))
    assert group_actions(facts, [OfferedGroup(name="web", revision=6, rules=())], "cloud-a") == ()
    assert group_actions(facts, [OfferedGroup(name="web", revision=7, rules=())], "cloud-a") == ()
    assert len(group_actions(facts, [OfferedGroup(name="web", revision=8, rules=())], "cloud-a")) == 1


def test_nothing_is_carried_while_rules_are_not_known() -> None:
    group = SecurityGroup("g", "web", "p")
    facts = NetworkFacts("operator", Network("n", "web", "p", 1400), groups=(group,))
    assert carried_groups(facts, groups_by_name(facts, "ByName")) is None


def test_more_groups_than_can_be_carried_are_reported() -> None:
    groups = tuple(SecurityGroup(f"g{n:02}", f"web{n:02}", "p", rules=()) for n in range(MAX_CARRIED_GROUPS + 1))
    port = Port(
        "p", "", "n", "p", "fa:16:3e:00:00:01", (), "compute:nova", "ACTIVE", "", groups=tuple(g.id for g in groups)
    )
    facts = NetworkFacts("operator", Network("n", "web", "p", 1400), ports=(port,), groups=groups)
    found = carried_groups(facts, groups_by_name(facts, "ByName"))
    assert found is not None
    assert len(found.groups) == MAX_CARRIED_GROUPS
    assert found.left_out == (f"security group {groups[-1].name}",)
