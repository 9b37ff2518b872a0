"""Changes that tenants make to networks and replicas while these are stretched: nothing of ours gets stuck."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import FakeCloud
from tests.fakes.scenario import Scenario

SPARE = "gw-spare"


@pytest.fixture
def stretched() -> Scenario:
    """Two subnets are stretched from A to B."""
    scenario = Scenario()
    scenario.a.neutron.create_subnet(
        scenario.network.id, scenario.project, "more", "10.30.0.0/24", "10.30.0.1", [], True, [], [], ""
    )
    scenario.a.expand(scenario.network.id, "cloud-b")
    assert scenario.outcome() == "Ready"
    return scenario


def _fail_over(cloud: FakeCloud) -> None:
    """Replace the cloud's gateway node by another one."""
    cloud.add_gateway(SPARE, f"{cloud.gateway_address.rpartition('.')[0]}.12")
    for _ in range(2):
        cloud.cycle()
        cloud.play_agent()
    cloud.kubectl.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"gw-{cloud.cloud_id}"}})
    for _ in range(3):
        cloud.cycle()


def _carried_by(cloud: FakeCloud) -> str | None:
    (attachment,) = cloud.attachments()
    return attachment.spec.active_node


def _remove_subnet_at_the_origin(scenario: Scenario) -> None:
    (added,) = [s for s in scenario.a.neutron.subnets.values() if s.cidr == "10.30.0.0/24"]
    for port in [p for p in scenario.a.neutron.ports.values() if any(a.startswith("10.30.") for a in p.addresses)]:
        scenario.a.neutron.delete_port(port.id)
    scenario.a.neutron.delete_subnet(added.id)


def _cycles(scenario: Scenario) -> dict[str, object]:
    """Run a few cycles that may fail; return what fails at B."""
    for _ in range(4):
        failures = [cloud.cycle().failures for cloud in (scenario.a, scenario.b)]
    return dict(failures[1])


def test_subnet_deleted_by_the_origin_stays_while_a_machine_uses_it(stretched: Scenario) -> None:
    (replica,) = stretched.b.neutron.networks.values()
    machine = stretched.b.neutron.boot(replica.id, replica.project_id, "10.30.0.200")
    _remove_subnet_at_the_origin(stretched)
    assert _cycles(stretched) == {}
    assert {s.cidr for s in stretched.b.neutron.subnets_of(replica.id)} == {"10.20.0.0/24", "10.30.0.0/24"}
    _fail_over(stretched.b)
    assert _carried_by(stretched.b) == SPARE
    stretched.b.neutron.delete_port(machine.id)
    assert _cycles(stretched) == {}
    assert {s.cidr for s in stretched.b.neutron.subnets_of(replica.id)} == {"10.20.0.0/24"}


def test_replica_subnet_is_identified_despite_a_changed_description(stretched: Scenario) -> None:
    subnets = stretched.b.neutron.subnets
    for subnet in list(subnets.values()):
        subnets[subnet.id] = replace(subnet, description="ours now")
    assert _cycles(stretched) == {}
    (attachment,) = stretched.b.attachments()
    assert {entry.id for entry in attachment.spec.record.subnets} == set(subnets)


def test_replica_that_cannot_be_repaired_still_fails_over(stretched: Scenario) -> None:
    """A port in the replica project uses the gateway's address."""
    reserved = [p for p in stretched.b.neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER]
    taken = next(p for p in reserved if p.addresses == ("10.20.0.1",))
    stretched.b.neutron.delete_port(taken.id)
    (replica,) = stretched.b.neutron.networks.values()
    stretched.b.neutron.boot(replica.id, replica.project_id, "10.20.0.1")
    assert _cycles(stretched) != {}
    _fail_over(stretched.b)
    assert _carried_by(stretched.b) == SPARE


def test_gateway_address_moved_into_a_slice_does_not_block_deletion(stretched: Scenario) -> None:
    """Neutron allows this while the slice is not in the pools, and then rejects any pool that contains it."""
    subnets = stretched.a.neutron.subnets
    (moved,) = [s for s in subnets.values() if s.cidr == "10.20.0.0/24"]
    subnets[moved.id] = replace(moved, gateway_ip="10.20.0.250")
    stretched.a.kubectl.delete(NetworkExpansion, "web", "shop")
    _cycles(stretched)
    assert stretched.a.expansion() is None
    assert [(p.first, p.last) for p in subnets[moved.id].pools] == [
        ("10.20.0.2", "10.20.0.249"),
        ("10.20.0.251", "10.20.0.254"),
    ]
