"""What people do to networks and copies meanwhile: it is theirs to do, and nothing of ours hangs for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model import names
from isthmus.model.api.objects import Condition
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayNodeStatus, TunnelAddress
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud
from tests.fakes.scene import Scene

SPARE = "gw-spare"


@pytest.fixture
def stretched() -> Scene:
    """Two subnets are stretched from A to B."""
    scene = Scene()
    scene.a.neutron.create_subnet(
        scene.network.id, scene.project, "more", "10.30.0.0/24", "10.30.0.1", [], True, [], [], ""
    )
    scene.a.expand(scene.network.id, "cloud-b")
    assert scene.outcome() == "Ready"
    return scene


def _fail_over(cloud: FakeCloud) -> None:
    """The cloud's gateway node is not ready any more; another one is."""
    labels = {names.GATEWAY_LABEL: "true"}
    cloud.people.apply_manifest({"apiVersion": "v1", "kind": "Node", "metadata": {"name": SPARE, "labels": labels}})
    cloud.cycle()
    spare_address = f"{cloud.gateway_address.rpartition('.')[0]}.12"
    for name, ready, address in (
        (SPARE, "True", spare_address),
        (f"gw-{cloud.cloud_id}", "False", cloud.gateway_address),
    ):
        node = cloud.people.get(GatewayNode, name)
        assert node is not None
        status = GatewayNodeStatus(
            conditions=(Condition(type="Ready", status=ready, reason="Ready"),),
            addresses=(TunnelAddress(address=address, mtu=1500),),
            neutron_host=f"host-{name}",
        )
        agent = FakeCluster(cloud.store, f"{names.AGENT}-{name}")
        agent.apply_status(node.model_copy(update={"status": status}))
    for _ in range(3):
        cloud.cycle()


def _carried_by(cloud: FakeCloud) -> str | None:
    (attachment,) = cloud.attachments()
    return attachment.spec.active_node


def _remove_subnet_at_the_origin(scene: Scene) -> None:
    (added,) = [s for s in scene.a.neutron.subnets.values() if s.cidr == "10.30.0.0/24"]
    for port in [p for p in scene.a.neutron.ports.values() if any(a.startswith("10.30.") for a in p.addresses)]:
        scene.a.neutron.delete_port(port.id)
    scene.a.neutron.delete_subnet(added.id)


def _cycles(scene: Scene) -> dict[str, object]:
    """A few rounds that may fail; what fails at B."""
    for _ in range(4):
        failures = [cloud.cycle().failures for cloud in (scene.a, scene.b)]
    return dict(failures[1])


def test_subnet_deleted_by_the_origin_stays_while_a_machine_uses_it(stretched: Scene) -> None:
    (copied,) = stretched.b.neutron.networks.values()
    machine = stretched.b.neutron.boot(copied.id, copied.project_id, "10.30.0.200")
    _remove_subnet_at_the_origin(stretched)
    assert _cycles(stretched) == {}
    assert {s.cidr for s in stretched.b.neutron.subnets_of(copied.id)} == {"10.20.0.0/24", "10.30.0.0/24"}
    _fail_over(stretched.b)
    assert _carried_by(stretched.b) == SPARE
    stretched.b.neutron.delete_port(machine.id)
    assert _cycles(stretched) == {}
    assert {s.cidr for s in stretched.b.neutron.subnets_of(copied.id)} == {"10.20.0.0/24"}


def test_replica_subnet_is_identified_despite_a_changed_description(stretched: Scene) -> None:
    subnets = stretched.b.neutron.subnets
    for subnet in list(subnets.values()):
        subnets[subnet.id] = replace(subnet, description="ours now")
    assert _cycles(stretched) == {}
    (attachment,) = stretched.b.attachments()
    assert {entry.id for entry in attachment.spec.record.subnets} == set(subnets)


def test_replica_that_cannot_be_repaired_still_fails_over(stretched: Scene) -> None:
    """Somebody in the copied project has taken the gateway's address."""
    reserved = [p for p in stretched.b.neutron.ports.values() if p.device_owner == names.GATEWAY_DEVICE_OWNER]
    taken = next(p for p in reserved if p.addresses == ("10.20.0.1",))
    stretched.b.neutron.delete_port(taken.id)
    (copied,) = stretched.b.neutron.networks.values()
    stretched.b.neutron.boot(copied.id, copied.project_id, "10.20.0.1")
    assert _cycles(stretched) != {}
    _fail_over(stretched.b)
    assert _carried_by(stretched.b) == SPARE


def test_gateway_address_moved_into_a_slice_does_not_block_deletion(stretched: Scene) -> None:
    """Neutron lets a tenant do that while the slice is out of the pools, and then takes no pool with it."""
    subnets = stretched.a.neutron.subnets
    (moved,) = [s for s in subnets.values() if s.cidr == "10.20.0.0/24"]
    subnets[moved.id] = replace(moved, gateway_ip="10.20.0.250")
    stretched.a.people.delete(NetworkExpansion, "web", "shop")
    _cycles(stretched)
    assert stretched.a.expansion() is None
    assert [(p.first, p.last) for p in subnets[moved.id].pools] == [
        ("10.20.0.2", "10.20.0.249"),
        ("10.20.0.251", "10.20.0.254"),
    ]
