"""Details of stretched networks: slices, pools, gateway failover, MTU, an idle controller."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, TunnelAddress
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Range, Subnet
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeCloud, FakeFederation, reason

Stretched = tuple[FakeFederation, FakeCloud, FakeCloud]


@pytest.fixture
def agreed() -> Stretched:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    a, b = federation.clouds
    return federation, a, b


def _pools(cloud: FakeCloud, subnet: Subnet) -> tuple[Range, ...]:
    return cloud.neutron.subnets[subnet.id].pools


def test_slice_contains_no_used_addresses(agreed: Stretched) -> None:
    federation, a, _ = agreed
    project, network, subnet = a.tenant()
    a.neutron.boot(network.id, project, "10.20.0.250")
    a.expand(network.id, "cloud-b")
    federation.settle()
    (entry,) = a.attachments()[0].spec.record.subnets
    assert [(s.first, s.last) for s in entry.slices] == [("10.20.0.188", "10.20.0.249")]
    assert _pools(a, subnet) == (Range("10.20.0.2", "10.20.0.187"), Range("10.20.0.250", "10.20.0.254"))


def test_slice_size_is_the_tenants_choice(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    expansion = a.expansion()
    assert expansion is not None
    chosen = expansion.spec.model_copy(
        update={"addressing": expansion.spec.addressing.model_copy(update={"slice_size": 16})}
    )
    a.kubectl.apply(expansion.model_copy(update={"spec": chosen}))
    federation.settle()
    (entry,) = a.attachments()[0].spec.record.subnets
    assert [(s.first, s.last) for s in entry.slices] == [("10.20.0.239", "10.20.0.254")]


class BootingNeutron:
    """A Neutron that allocates an address in the middle of the slice while the pools are being updated."""

    def __init__(self, cloud: FakeCloud, boot: Callable[[], object]) -> None:
        self._cloud = cloud.neutron
        self._boot: Callable[[], object] | None = boot

    def __getattr__(self, name: str) -> Any:
        if name == "update_subnet" and self._boot is not None:
            boot, self._boot = self._boot, None
            boot()
        return getattr(self._cloud, name)


def test_addresses_allocated_meanwhile_are_excluded_from_the_slice(agreed: Stretched) -> None:
    federation, a, b = agreed
    project, network, subnet = a.tenant()
    late = BootingNeutron(a, lambda: a.neutron.boot(network.id, project, "10.20.0.200"))
    a.restart(a.with_cloud(cast(NetworkCloud, late)))
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert reason(a.expansion()) == "Ready"
    (entry,) = a.attachments()[0].spec.record.subnets
    assert [(s.first, s.last) for s in entry.slices] == [("10.20.0.201", "10.20.0.254")]
    assert _pools(a, subnet) == (Range("10.20.0.2", "10.20.0.200"),)
    (replica,) = b.neutron.subnets.values()
    assert replica.pools == (Range("10.20.0.201", "10.20.0.254"),)
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert _pools(a, subnet) == subnet.pools


def test_original_pools_are_restored(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, subnet = a.tenant()
    written = (Range("10.20.0.10", "10.20.0.99"), Range("10.20.0.100", "10.20.0.199"))
    a.neutron.subnets[subnet.id] = replace(subnet, pools=written)
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert _pools(a, subnet) == (Range("10.20.0.10", "10.20.0.152"),)
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert _pools(a, subnet) == written


def test_pools_that_the_tenant_changed_meanwhile_are_respected(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, subnet = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    a.neutron.update_subnet(subnet.id, pools=[Range("10.20.0.50", "10.20.0.220")])
    federation.settle()
    assert _pools(a, subnet) == (Range("10.20.0.50", "10.20.0.191"),)
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert _pools(a, subnet) == (Range("10.20.0.50", "10.20.0.254"),)


def test_subnet_added_later_is_stretched_too(agreed: Stretched) -> None:
    federation, a, b = agreed
    project, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    added = a.neutron.create_subnet(network.id, project, "more", "10.30.0.0/24", "10.30.0.1", [], True, [], [], "")
    federation.settle()
    assert {s.cidr for s in b.neutron.subnets.values()} == {"10.20.0.0/24", "10.30.0.0/24"}
    assert reason(a.expansion()) == "Ready"
    for port in [p for p in a.neutron.ports.values() if p.addresses and p.addresses[0].startswith("10.30")]:
        a.neutron.delete_port(port.id)
    a.neutron.delete_subnet(added.id)
    federation.settle()
    assert {s.cidr for s in b.neutron.subnets.values()} == {"10.20.0.0/24"}
    assert reason(a.expansion()) == "Ready"


def test_address_outside_its_slice_is_reported_on_both_sides(agreed: Stretched) -> None:
    federation, a, b = agreed
    project, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    (replica,) = b.neutron.networks.values()
    there = b.neutron.boot(replica.id, replica.project_id, "10.20.0.50")
    here = a.neutron.boot(network.id, project, "10.20.0.50")
    federation.settle()
    for cloud in (a, b):
        (attachment,) = cloud.attachments()
        condition = condition_of(attachment.status.conditions, "AddressConflict")
        assert condition is not None
        assert condition.status == "True"
        assert here.id in condition.message
        assert there.id in condition.message


def test_mtu_changed_by_the_tenant_is_kept_on_withdrawal(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    a.neutron.set_network_mtu(network.id, 1300)
    federation.settle()
    assert a.neutron.networks[network.id].mtu == 1300


def test_mtu_is_restored_after_an_interrupted_second_reduction(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()

    class Dies:
        def __getattr__(self, name: str) -> Any:
            return getattr(a.neutron, name)

        def set_network_mtu(self, *_: object) -> None:
            raise KeyboardInterrupt

    node = a.kubectl.get(GatewayNode, "gw-cloud-a")
    assert node is not None
    addresses = (TunnelAddress(address=a.gateway_address, mtu=1400),)
    a.agent.apply_status(node.model_copy(update={"status": node.status.model_copy(update={"addresses": addresses})}))
    a.restart(a.with_cloud(cast(NetworkCloud, Dies())))
    with pytest.raises(KeyboardInterrupt):
        a.cycle()
    (attachment,) = a.attachments()
    assert attachment.spec.mtu != a.neutron.networks[network.id].mtu != 1450
    a.restart()
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert a.neutron.networks[network.id].mtu == 1450


@pytest.mark.parametrize("measuring", ["cloud-a", "cloud-b"])
def test_all_copies_have_the_mtu_of_the_path_whoever_has_found_it_out(agreed: Stretched, measuring: str) -> None:
    federation, a, b = agreed
    cloud, peer = (a, "cloud-b") if measuring == "cloud-a" else (b, "cloud-a")
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    for carried, agreed_mtu in ((1416, 1416), (1316, 1316), (1500, 1416), (1300, 1300)):
        cloud.carried_mtus[peer] = carried
        federation.settle()
        assert a.neutron.networks[network.id].mtu == agreed_mtu
        assert [n.mtu for n in b.neutron.networks.values()] == [agreed_mtu]
        assert [found.spec.mtu for side in (a, b) for found in side.attachments()] == [agreed_mtu, agreed_mtu]
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert a.neutron.networks[network.id].mtu == 1450


def test_the_path_to_another_peer_makes_no_difference(agreed: Stretched) -> None:
    federation, a, b = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    b.carried_mtus["cloud-c"] = a.carried_mtus["cloud-c"] = 1200
    federation.settle()
    assert a.neutron.networks[network.id].mtu == 1416


def test_network_with_a_smaller_mtu_keeps_it(agreed: Stretched) -> None:
    federation, a, b = agreed
    _, network, _ = a.tenant()
    a.neutron.set_network_mtu(network.id, 1400)
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert [n.mtu for n in b.neutron.networks.values()] == [1400]
    assert a.neutron.networks[network.id].mtu == 1400


class Counting:
    """Counts every call of a backend."""

    def __init__(self, backend: object) -> None:
        self._world = backend
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._world, name)


def test_idle_cycle_makes_no_openstack_calls_and_idle_resync_writes_nothing(agreed: Stretched) -> None:
    federation, a, _ = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    counting = Counting(a.neutron)
    a.restart(a.with_cloud(cast(NetworkCloud, counting)))
    before = federation.writes()
    assert a.cycle(resync=True).actions == 0
    assert sorted(set(counting.calls)) == [
        "check",
        "get_network",
        "get_project",
        "own_project_id",
        "ports_of",
        "subnets_of",
    ]
    counting.calls.clear()
    assert a.cycle(resync=False).actions == 0
    assert counting.calls == []
    assert federation.writes() == before


def test_published_links_contain_nothing_local(agreed: Stretched) -> None:
    federation, a, b = agreed
    for index in range(5):  # the fakes number their IDs: make B's differ from A's
        b.tenant(f"local-{index}")
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    (attachment,) = b.attachments()
    record = attachment.spec.record
    secrets = {record.network_id, record.project_id, record.domain_id, attachment.spec.ports[0].port_id}
    (answer,) = b.links()
    published = str(answer.to_wire())
    assert [s for s in secrets if s and s in published] == []
