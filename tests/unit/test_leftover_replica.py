"""A replica, or its project, that is still in use when the network is withdrawn: it stays and is reported."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Network
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario, Stretched


@pytest.fixture
def stretched() -> Scenario:
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    assert scenario.outcome() == "Ready"
    return scenario


def _replica(scenario: Scenario) -> Network:
    (replica,) = scenario.b.neutron.networks.values()
    return replica


def _withdraw(scenario: Scenario) -> None:
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert (scenario.a.expansion(), scenario.a.attachments(), scenario.a.links(), scenario.b.links()) == (
        None,
        [],
        [],
        [],
    )


def _in_use(scenario: Scenario) -> tuple[str | None, str]:
    """Reason and message that B's administrator sees."""
    (left,) = scenario.b.attachments()
    assert left.spec.links == ()
    assert reason(left) == "ReplicaInUse"
    return reason(left, "ReplicaInUse"), next(c.message for c in left.status.conditions if c.type == "ReplicaInUse")


def _stays_until_the_machine_is_gone(scenario: Scenario, machine_id: str, before: tuple[str | None, str]) -> bool:
    """Whether what B's administrator sees stays the same, and nothing is left after the machine."""
    b = scenario.b
    for _ in range(3):
        b.cycle()
    assert _in_use(scenario) == before
    b.neutron.delete_port(machine_id)
    for _ in range(6):
        b.cycle()
    return _nothing_left(scenario)


def _nothing_left(scenario: Scenario) -> bool:
    neutron = scenario.b.neutron
    return not (scenario.b.attachments() or neutron.networks or neutron.ports or neutron.find_domain("isthmus-cloud-a"))


def test_replica_with_a_machine_is_deleted_after_the_machine(stretched: Scenario) -> None:
    b = stretched.b
    machine = b.neutron.boot(_replica(stretched).id, _replica(stretched).project_id)
    stretched.settle()
    _withdraw(stretched)
    assert b.neutron.ports[machine.id] == machine
    assert [p for p in b.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER] == []
    why, expected = _in_use(stretched)
    assert why == "PortsLeft"
    assert machine.id in expected
    assert [e for e in b.store.events if e[2] == "ReplicaInUse" and machine.id in e[3]]
    b.neutron.delete_port(machine.id)
    stretched.settle()
    assert _nothing_left(stretched)


@pytest.mark.parametrize("restarted", [False, True])
def test_replica_in_use_is_removed_although_its_origin_cannot_be_read(stretched: Scenario, *, restarted: bool) -> None:
    """The origin has withdrawn the network and got its answer: it has nothing more to say about it."""
    b, replica = stretched.b, _replica(stretched)
    machine = b.neutron.boot(replica.id, replica.project_id)
    stretched.settle()
    _withdraw(stretched)
    before = _in_use(stretched)
    stretched.a.store.down = True
    if restarted:
        b.restart()
    assert _stays_until_the_machine_is_gone(stretched, machine.id, before)


def test_origin_is_removed_while_its_replica_is_in_use(stretched: Scenario) -> None:
    """It waits for no machine of the peer's, whose administrator then ends the agreement with a cloud that is gone."""
    a, b, replica = stretched.a, stretched.b, _replica(stretched)
    machine = b.neutron.boot(replica.id, replica.project_id)
    stretched.settle()
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    a.kubectl.delete(CloudPeer, "cloud-b")
    stretched.settle()
    assert [peer.metadata.name for peer in a.kubectl.list_objects(CloudPeer)] == ["cloud-c"]
    a.store.down = True
    b.cycle()
    before = _in_use(stretched)
    b.kubectl.delete(CloudPeer, "cloud-a")
    assert _stays_until_the_machine_is_gone(stretched, machine.id, before)


def test_replica_without_our_link_is_kept_while_its_origin_cannot_be_read(stretched: Scenario) -> None:
    """Somebody has deleted our link; nothing says that the origin has withdrawn the network."""
    b, replica = stretched.b, _replica(stretched)
    stretched.a.store.down = True
    b.cycle()
    (link,) = b.links()
    b.kubectl.delete(ExpansionLink, link.metadata.name, link.metadata.namespace)
    for _ in range(3):
        b.cycle()
    assert list(b.neutron.networks) == [replica.id]
    stretched.a.store.down = False
    assert stretched.outcome() == "Ready"
    assert list(b.neutron.networks) == [replica.id]


def test_project_with_tenant_resources_is_deleted_when_empty(stretched: Scenario) -> None:
    b, project_id = stretched.b, _replica(stretched).project_id
    own = b.neutron.create_network(project_id, "own", 1450, "")
    _withdraw(stretched)
    assert list(b.neutron.networks) == [own.id]
    why, expected = _in_use(stretched)
    assert why == "ProjectNotEmpty"
    assert project_id in expected
    b.neutron.delete_network(own.id)
    stretched.settle()
    assert _nothing_left(stretched)


def test_leftover_replica_is_reused(stretched: Scenario) -> None:
    replica = _replica(stretched)
    machine = stretched.b.neutron.boot(replica.id, replica.project_id)
    _withdraw(stretched)
    stretched.a.expand(stretched.network.id, "cloud-b")
    assert stretched.outcome() == "Ready"
    assert _replica(stretched).id == replica.id
    assert stretched.b.neutron.ports[machine.id] == machine


def test_project_is_kept_if_other_services_may_hold_something_of_it() -> None:
    """Such as volumes and images. An administrator deletes it, or allows us to."""
    stretched = Stretched()
    b = stretched.b
    b.neutron.other_services = ("compute", "volumev3")
    (project_id,) = {n.project_id for n in b.neutron.networks.values()}
    stretched.withdraw()
    stretched.federation.settle()
    assert not b.neutron.networks
    assert project_id in b.neutron.projects
    (attachment,) = b.attachments()
    assert reason(attachment, "ReplicaInUse") == "ProjectKept"
    message = next(c.message for c in attachment.status.conditions if c.type == "ReplicaInUse")
    assert message == (
        f"project {project_id} is kept, for it may hold resources of other services (compute, volumev3): delete it, "
        "or annotate the CloudPeer with isthmus.cloud/delete-projects=true"
    )
    peer = b.peer("cloud-a")
    annotated = peer.metadata.model_copy(update={"annotations": {"isthmus.cloud/delete-projects": "true"}})
    b.kubectl.apply(peer.model_copy(update={"metadata": annotated}))
    stretched.federation.settle()
    assert project_id not in b.neutron.projects
    assert not b.attachments()


def test_kept_project_is_used_again_and_does_not_count_as_a_network() -> None:
    stretched = Stretched()
    a, b = stretched.a, stretched.b
    b.neutron.other_services = ("image",)
    peer = b.peer("cloud-a")
    limits = peer.spec.agreement.limits.model_copy(update={"networks": 1})
    agreement = peer.spec.agreement.model_copy(update={"limits": limits})
    b.kubectl.apply(peer.model_copy(update={"spec": peer.spec.model_copy(update={"agreement": agreement})}))
    projects = set(b.neutron.projects)
    stretched.withdraw()
    stretched.federation.settle()
    assert reason(b.attachments()[0], "ReplicaInUse") == "ProjectKept"
    second = a.neutron.create_network(stretched.project, "db", 1450, "")
    a.neutron.create_subnet(second.id, stretched.project, "db", "10.21.0.0/24", None, [], True, [], [], "")
    a.expand(second.id, "cloud-b", name="db")
    stretched.federation.settle()
    assert reason(a.expansion(name="db")) == "Ready"
    assert set(b.neutron.projects) == projects
    assert len(b.attachments()) == 1


def test_kept_project_that_an_administrator_deletes() -> None:
    stretched = Stretched()
    b = stretched.b
    b.neutron.other_services = ("image",)
    (project_id,) = {n.project_id for n in b.neutron.networks.values()}
    stretched.withdraw()
    stretched.federation.settle()
    b.neutron.delete_project(project_id)
    stretched.federation.settle()
    assert not b.attachments()
    assert not b.neutron.domains
