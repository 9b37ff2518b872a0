"""A replica is stretched by its origin alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Network
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario


@pytest.fixture
def stretched() -> Scenario:
    """A network of A that is stretched to B, where a namespace is bound to the replica's project."""
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    assert scenario.outcome() == "Ready"
    scenario.b.namespace("shop", {names.PROJECT_ANNOTATION: replica(scenario).project_id})
    return scenario


def replica(scenario: Scenario) -> Network:
    (found,) = scenario.b.neutron.networks.values()
    return found


def outcome(scenario: Scenario) -> tuple[str | None, str]:
    """Reason and message of Ready, as the tenant of B sees it."""
    scenario.settle()
    expansion = scenario.b.expansion()
    assert expansion is not None
    ready = condition_of(expansion.status.conditions, "Ready")
    assert ready is not None
    return ready.reason, ready.message


@pytest.mark.parametrize("peer", ["cloud-a", "cloud-c"])
@pytest.mark.parametrize("change", [{}, {"description": "ours"}, {"name": "renamed"}])
def test_is_refused(stretched: Scenario, peer: str, change: dict[str, object]) -> None:
    """Whatever the members of its project write into it, for the record says what it is."""
    network = replace(replica(stretched), **change)  # type: ignore[arg-type]
    stretched.b.neutron.networks[network.id] = network
    before = stretched.openstack()
    stretched.b.expand(network.id, peer)
    found, message = outcome(stretched)
    assert found == "NetworkIsReplica"
    assert message == (
        f"network {network.name} is this cloud's replica of a network of cloud-a: only cloud-a can stretch it to more "
        "clouds, by the NetworkExpansion there"
    )
    assert stretched.openstack() == before
    assert [attachment.spec.origin.cloud_id for attachment in stretched.b.attachments()] == ["cloud-a"]
    assert reason(stretched.a.expansion()) == "Ready"


def test_is_refused_before_its_id_is_recorded(stretched: Scenario) -> None:
    """Then a controller was killed between both, and the description has what only Isthmus could know."""
    (attachment,) = stretched.b.attachments()
    record = attachment.spec.record.model_copy(update={"network_id": None})
    spec = attachment.spec.model_copy(update={"record": record})
    stretched.b.kubectl.apply(attachment.model_copy(update={"spec": spec}))
    stretched.b.expand(replica(stretched).id, "cloud-c")
    stretched.b.cycle()
    assert reason(stretched.b.expansion()) == "NetworkIsReplica"


def test_other_networks_of_its_project_are_not_refused(stretched: Scenario) -> None:
    """Also if the tenant names and tags one like a replica, or gives it the description of an origin's ports."""
    description = names.marker(stretched.a.links()[0].metadata.name)
    project = replica(stretched).project_id
    other = stretched.b.neutron.create_network(project, "web", 1450, description)
    stretched.b.neutron.networks[other.id] = replace(other, tags=frozenset({names.NEUTRON_TAG}))
    stretched.b.neutron.create_subnet(other.id, project, "db", "10.21.0.0/24", None, [], True, [], [], "")
    stretched.b.expand(other.id, "cloud-c")
    assert outcome(stretched)[0] == "Ready"


def test_is_judged_again_at_once_when_the_origin_withdraws(stretched: Scenario) -> None:
    """While a machine keeps the replica, it stays a replica; then there is no such network."""
    machine = stretched.b.neutron.boot(replica(stretched).id, replica(stretched).project_id)
    stretched.b.expand(replica(stretched).id, "cloud-c")
    assert outcome(stretched)[0] == "NetworkIsReplica"
    stretched.a.kubectl.delete(NetworkExpansion, "web", "shop")
    assert outcome(stretched)[0] == "NetworkIsReplica"
    stretched.b.neutron.delete_port(machine.id)
    assert outcome(stretched)[0] == "NetworkNotFound"
