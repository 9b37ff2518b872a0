"""A tenant who writes while we do, and a second controller: nothing is overwritten, nothing is left twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from isthmus.controller.loop import Controller
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.errors import Unavailable
from isthmus.model.facts.openstack import Range
from isthmus.model.names import GATEWAY_DEVICE_OWNER
from isthmus.ports import NetworkCloud, is_effect
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.scenario import Stretched


class Interrupted:
    """A cloud before whose N-th effect something else happens, once."""

    def __init__(self, cloud: FakeCloud, happens: Callable[[], object], effect: str | int) -> None:
        self._cloud, self._happens, self._effect = cloud.neutron, happens, effect
        self._is_running = False
        self.count = 0
        self.happened = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cloud, name)
        if not is_effect(name) or self._is_running:
            return method

        def effect(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if not self.happened and self._effect in (name, self.count):
                self.happened = self._is_running = True
                self._happens()
                self._is_running = False
            return method(*arguments, **named)

        return effect


@pytest.fixture
def agreed() -> tuple[FakeFederation, FakeCloud, FakeCloud]:
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    a, b = federation.clouds
    return federation, a, b


def interrupt(cloud: FakeCloud, happens: Callable[[], object], effect: str | int) -> Interrupted:
    interrupted = Interrupted(cloud, happens, effect)
    cloud.restart(cloud.with_cloud(cast(NetworkCloud, interrupted)))
    return interrupted


@pytest.mark.parametrize("last", [50, 220], ids=["without the slice", "with a part of the slice"])
def test_pools_that_a_tenant_writes_meanwhile_are_not_overwritten(
    agreed: tuple[FakeFederation, FakeCloud, FakeCloud], last: int
) -> None:
    """The record is of the pools that were cut: they are restored as the tenant wrote them last."""
    federation, a, b = agreed
    _, network, subnet = a.tenant()
    theirs = (Range("10.20.0.10", f"10.20.0.{last}"),)
    interrupted = interrupt(a, lambda: a.neutron.update_subnet(subnet.id, pools=theirs), "update_subnet")
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert interrupted.happened
    assert reason(a.expansion()) == "Ready"
    (replica,) = b.neutron.subnets.values()
    ((ours,), (slice_,)) = a.neutron.subnets[subnet.id].pools, replica.pools
    assert (ours.first, slice_.last) == (theirs[0].first, theirs[0].last)
    a.kubectl.delete(NetworkExpansion, "web", "shop")
    federation.settle()
    assert a.neutron.subnets[subnet.id].pools == theirs


def test_pools_that_a_tenant_makes_too_small_meanwhile_are_left(
    agreed: tuple[FakeFederation, FakeCloud, FakeCloud],
) -> None:
    federation, a, _ = agreed
    _, network, subnet = a.tenant()
    theirs = (Range("10.20.0.10", "10.20.0.12"),)
    interrupt(a, lambda: a.neutron.update_subnet(subnet.id, pools=theirs), "update_subnet")
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert reason(a.expansion()) == "NoFreeSlice"
    assert a.neutron.subnets[subnet.id].pools == theirs


def test_mtu_that_a_tenant_writes_meanwhile_is_read_again(
    agreed: tuple[FakeFederation, FakeCloud, FakeCloud],
) -> None:
    federation, a, _ = agreed
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b")
    federation.settle()
    a.neutron.set_network_mtu(network.id, 1390)
    conflicts: list[object] = []

    def rename() -> None:
        a.neutron.networks[network.id] = replace(a.neutron.networks[network.id], name="renamed")
        conflicts.append(a.neutron.networks[network.id])

    interrupt(a, rename, "set_network_mtu")
    federation.settle()
    assert conflicts
    assert (a.neutron.networks[network.id].name, a.neutron.networks[network.id].mtu) == ("renamed", 1416)


def left_of(cloud: FakeCloud) -> dict[str, list[tuple[object, ...]]]:
    """What a cloud's OpenStack has, without IDs."""
    neutron = cloud.neutron
    return {
        "domains": sorted((d.name, d.enabled) for d in neutron.domains.values()),
        "projects": sorted((p.name, p.domain_id in neutron.domains) for p in neutron.projects.values()),
        "networks": sorted((n.name, n.mtu) for n in neutron.networks.values()),
        "subnets": sorted((s.cidr, str(s.pools)) for s in neutron.subnets.values()),
        "ports": sorted((p.device_owner, p.addresses) for p in neutron.ports.values()),
    }


@pytest.mark.parametrize("role", [0, 1], ids=["origin", "receiver"])
def test_two_controllers_never_leave_two_of_anything(role: int) -> None:
    """A second controller runs a cycle before each effect in turn of the first one, and both go on."""
    expected, effect, happened = [left_of(cloud) for cloud in Stretched().federation.clouds], 1, True
    while happened:
        federation = FakeFederation()
        federation.agree()
        federation.settle()
        cloud = federation.clouds[role]
        other = Controller(cloud.settings, cloud.backends)
        interrupted = interrupt(cloud, lambda other=other: other.cycle(resync=True), effect)  # type: ignore[misc]
        _, network, _ = federation.clouds[0].tenant()
        federation.clouds[0].expand(network.id, "cloud-b")
        for _ in range(3):
            federation.settle()
            other.cycle(resync=True)
        federation.settle()
        assert [left_of(c) for c in federation.clouds] == expected, f"before effect {effect}"
        federation.clouds[0].kubectl.delete(NetworkExpansion, "web", "shop")
        federation.settle()
        assert not federation.clouds[1].neutron.networks
        assert len(federation.clouds[1].neutron.projects) == 1
        happened, effect = interrupted.happened, effect + 1
    assert effect > 4


def test_network_that_was_created_after_all_is_deleted() -> None:
    """The creating request timed out, was repeated, and the server had not done the first one yet."""
    stretched = Stretched()
    b, (replica,) = stretched.b, stretched.b.neutron.networks.values()
    late = b.neutron.create_network(replica.project_id, replica.name, 1400, replica.description)
    subnet = next(iter(b.neutron.subnets.values()))
    late_subnet = b.neutron.create_subnet(
        late.id, late.project_id, "web", subnet.cidr, None, subnet.pools, True, [], [], subnet.description
    )
    b.neutron.create_gateway_port(late.id, late_subnet.id, "10.20.0.1", "", f"isthmus cloud-a.{stretched.network.id}")
    stretched.federation.settle()
    assert list(b.neutron.networks) == [replica.id]
    assert [p.network_id for p in b.neutron.ports.values() if p.device_owner == GATEWAY_DEVICE_OWNER] == [replica.id]
    assert reason(stretched.a.expansion()) == "Ready"


def test_duplicate_that_somebody_uses_is_kept() -> None:
    stretched = Stretched()
    b, (replica,) = stretched.b, stretched.b.neutron.networks.values()
    late = b.neutron.create_network(replica.project_id, replica.name, 1400, replica.description)
    b.neutron.create_subnet(late.id, late.project_id, "", "10.30.0.0/24", None, [], False, [], [], "")
    port = b.neutron.boot(late.id, late.project_id)
    stretched.federation.settle()
    assert set(b.neutron.networks) == {replica.id, late.id}
    assert reason(stretched.a.expansion()) == "Ready"
    b.neutron.delete_port(port.id)
    stretched.federation.settle()
    assert set(b.neutron.networks) == {replica.id}


def test_lost_reply_to_a_creation() -> None:
    """The server created it, and the request timed out."""
    federation = FakeFederation()
    federation.agree()
    federation.settle()
    a, b = federation.clouds
    _, network, _ = a.tenant()
    lost: list[str] = []

    class Lossy:
        def __getattr__(self, name: str) -> Any:
            method = getattr(b.neutron, name)

            def call(*arguments: Any, **named: Any) -> Any:
                result = method(*arguments, **named)
                if name.startswith("create_") and name not in lost:
                    lost.append(name)
                    raise Unavailable("timed out")
                return result

            return call if callable(method) else method

    b.restart(b.with_cloud(cast(NetworkCloud, Lossy())))
    a.expand(network.id, "cloud-b")
    federation.settle()
    assert len(lost) >= 5
    assert left_of(b) == left_of(Stretched().b)
