"""A mirrored project that an administrator of the receiver disables or deletes in Keystone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta, condition_of
from isthmus.model.api.v1alpha1.expansionapproval import ExpansionApproval, ExpansionApprovalSpec
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Stretched


def project_id(cloud: FakeCloud) -> str:
    """ID of the only recorded one: a network that is being created has none."""
    (found,) = {attachment.spec.record.project_id for attachment in cloud.attachments()} - {None}
    assert found is not None
    return found


def disable(cloud: FakeCloud, *, enabled: bool = False) -> None:
    id_ = project_id(cloud)
    cloud.neutron.projects[id_] = replace(cloud.neutron.projects[id_], enabled=enabled)


def degraded(cloud: FakeCloud) -> str | None:
    return reason(cloud.attachments()[0], "Degraded")


def another_network(stretched: Stretched, project: str, namespace: str = "shop") -> None:
    network = stretched.a.neutron.create_network(project, "db", 1450, "")
    stretched.a.neutron.create_subnet(network.id, project, "db", "10.21.0.0/24", None, [], True, [], [], "")
    stretched.a.expand(network.id, "cloud-b", namespace=namespace, name="db")


def decide(cloud: FakeCloud, decision: str) -> None:
    (link,) = cloud.links()
    namespace = names.peer_namespace("cloud-a")
    spec = ExpansionApprovalSpec.model_validate({"decision": decision})
    cloud.kubectl.apply(ExpansionApproval(metadata=ObjectMeta(name=link.metadata.name, namespace=namespace), spec=spec))


def settled(stretched: Stretched) -> None:
    """Nothing is tried again and again."""
    stretched.federation.settle()
    before = stretched.federation.writes()
    stretched.federation.clock.move(3600)
    stretched.federation.settle()
    assert stretched.federation.writes() == before


def test_disabled_project_stays_disabled_and_its_network_connected(stretched: Stretched) -> None:
    b = stretched.b
    disable(b)
    settled(stretched)
    assert not b.neutron.projects[project_id(b)].enabled
    assert degraded(b) == "ProjectNotUsable"
    assert reason(b.attachments()[0]) == "Ready"
    assert reason(stretched.a.expansion()) == "Ready"
    disable(b, enabled=True)
    stretched.federation.settle()
    assert degraded(b) == "AsExpected"


def test_message_names_the_project_and_what_to_do(stretched: Stretched) -> None:
    disable(stretched.b)
    stretched.federation.settle()
    condition = condition_of(stretched.b.attachments()[0].status.conditions, "Degraded")
    assert condition is not None
    assert project_id(stretched.b) in condition.message
    assert "enable it" in condition.message


def test_nothing_new_is_created_in_a_disabled_project(stretched: Stretched) -> None:
    a, b = stretched.federation.clouds
    disable(b)
    another_network(stretched, stretched.project)
    settled(stretched)
    assert len(b.neutron.networks) == 1
    assert reason(a.expansion(name="db")) == "ReplicaFailed"
    assert reason(a.expansion()) == "Ready"
    disable(b, enabled=True)
    stretched.federation.settle()
    assert reason(a.expansion(name="db")) == "Ready"


def test_deleted_project_is_not_made_again(stretched: Stretched) -> None:
    b = stretched.b
    deleted, networks = project_id(b), set(b.neutron.networks)
    b.neutron.delete_project(deleted)
    projects = set(b.neutron.projects)
    settled(stretched)
    assert set(b.neutron.projects) == projects
    assert set(b.neutron.networks) == networks
    assert degraded(b) == "ProjectNotUsable"
    assert reason(stretched.a.expansion()) == "Ready"


def test_other_projects_are_not_concerned(stretched: Stretched) -> None:
    a, b = stretched.federation.clouds
    disable(b)
    other, _, _ = a.tenant("bakery", "10.22.0.0/24")
    another_network(stretched, other, "bakery")
    stretched.federation.settle()
    assert reason(a.expansion("bakery", "db")) == "Ready"
    assert {reason(x, "Degraded") for x in b.attachments()} == {"AsExpected", "ProjectNotUsable"}


def test_disabled_domain_is_reported_and_stays_disabled(stretched: Stretched) -> None:
    b = stretched.b
    (domain,) = b.neutron.domains.values()
    b.neutron.domains[domain.id] = replace(domain, enabled=False)
    settled(stretched)
    assert not b.neutron.domains[domain.id].enabled
    assert degraded(b) == "ProjectNotUsable"


def test_nothing_is_left_of_a_network_whose_project_was_deleted(stretched: Stretched) -> None:
    b = stretched.b
    b.neutron.delete_project(project_id(b))
    stretched.federation.settle()
    stretched.withdraw()
    stretched.federation.settle()
    assert not b.attachments()
    assert not b.neutron.networks
    assert not b.neutron.ports
    assert not b.neutron.domains


def test_network_that_is_refused_and_accepted_again_gets_a_new_project(stretched: Stretched) -> None:
    a, b = stretched.federation.clouds
    deleted = project_id(b)
    b.neutron.delete_project(deleted)
    stretched.federation.settle()
    decide(b, "Refuse")
    stretched.federation.settle()
    assert not b.neutron.networks
    decide(b, "Accept")
    stretched.federation.settle()
    assert reason(a.expansion()) == "Ready"
    assert project_id(b) != deleted
    assert degraded(b) == "AsExpected"


def test_project_that_we_delete_ourselves_is_not_recorded_any_more(
    stretched: Stretched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a process that is killed after that would take it for the deed of an administrator."""
    b, recorded = stretched.b, list[str | None]()
    delete = b.neutron.delete_project

    def deleted(id_: str) -> None:
        recorded.append(b.attachments()[0].spec.record.project_id)
        delete(id_)

    monkeypatch.setattr(b.neutron, "delete_project", deleted)
    stretched.withdraw()
    stretched.federation.settle()
    assert recorded == [None]
