"""A copy, or its project, that people of the receiving cloud still use when the stretch ends: it stays, and is told."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Network
from tests.fakes.federation import reason
from tests.fakes.scene import Scene


@pytest.fixture
def stretched() -> Scene:
    scene = Scene()
    scene.a.expand(scene.network.id, "cloud-b")
    assert scene.outcome() == "Ready"
    return scene


def _copied(scene: Scene) -> Network:
    (copied,) = scene.b.neutron.networks.values()
    return copied


def _withdraw(scene: Scene) -> None:
    scene.a.people.delete(NetworkExpansion, "web", "shop")
    scene.settle()
    assert (scene.a.expansion(), scene.a.attachments(), scene.a.links(), scene.b.links()) == (None, [], [], [])


def _in_use(scene: Scene) -> tuple[str | None, str]:
    """Reason and message of what B's administrator is told."""
    (left,) = scene.b.attachments()
    assert left.spec.links == ()
    assert reason(left) == "ReplicaInUse"
    return reason(left, "ReplicaInUse"), next(c.message for c in left.status.conditions if c.type == "ReplicaInUse")


def _nothing_left(scene: Scene) -> bool:
    neutron = scene.b.neutron
    return not (scene.b.attachments() or neutron.networks or neutron.ports or neutron.find_domain("isthmus-cloud-a"))


def test_replica_with_a_machine_is_deleted_after_the_machine(stretched: Scene) -> None:
    b = stretched.b
    machine = b.neutron.boot(_copied(stretched).id, _copied(stretched).project_id)
    stretched.settle()
    _withdraw(stretched)
    assert b.neutron.ports[machine.id] == machine
    assert [p for p in b.neutron.ports.values() if p.device_owner == names.ATTACHMENT_DEVICE_OWNER] == []
    why, told = _in_use(stretched)
    assert why == "PortsLeft"
    assert machine.id in told
    assert [e for e in b.store.events if e[2] == "ReplicaInUse" and machine.id in e[3]]
    b.neutron.delete_port(machine.id)
    stretched.settle()
    assert _nothing_left(stretched)


def test_project_with_tenant_resources_is_deleted_when_empty(stretched: Scene) -> None:
    b, project_id = stretched.b, _copied(stretched).project_id
    own = b.neutron.create_network(project_id, "own", 1450, "")
    _withdraw(stretched)
    assert list(b.neutron.networks) == [own.id]
    why, told = _in_use(stretched)
    assert why == "ProjectNotEmpty"
    assert project_id in told
    b.neutron.delete_network(own.id)
    stretched.settle()
    assert _nothing_left(stretched)


def test_leftover_replica_is_reused(stretched: Scene) -> None:
    copied = _copied(stretched)
    machine = stretched.b.neutron.boot(copied.id, copied.project_id)
    _withdraw(stretched)
    stretched.a.expand(stretched.network.id, "cloud-b")
    assert stretched.outcome() == "Ready"
    assert _copied(stretched).id == copied.id
    assert stretched.b.neutron.ports[machine.id] == machine
