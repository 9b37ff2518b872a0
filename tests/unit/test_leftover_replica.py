"""A replica, or its project, that is still in use when the network is withdrawn: it stays and is reported."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Network
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario


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
