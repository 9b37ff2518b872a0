"""Networks and subnets that cannot be stretched, from the start or after a change, on fakes."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario


@pytest.fixture
def ready() -> Scenario:
    return Scenario()


@pytest.mark.parametrize("kind", ["external", "shared", "shared by a policy"])
def test_external_or_shared_network(ready: Scenario, kind: str) -> None:
    changed = replace(ready.network, external=kind == "external", shared=kind == "shared")
    ready.a.neutron.networks[ready.network.id] = changed
    ready.a.neutron.shared_by_policy |= {ready.network.id} if kind == "shared by a policy" else set()
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "NetworkNotStretchable"


def test_ipv6_subnet(ready: Scenario) -> None:
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, ip_version=6)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "UnsupportedSubnet"


def test_ipv6_subnet_of_a_network_that_is_stretched(ready: Scenario) -> None:
    """The subnet is not stretched, the tenant is informed, and the rest stays stretched."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    v6 = replace(
        ready.subnet,
        id=str(uuid.uuid4()),
        cidr="fd00::/64",
        ip_version=6,
        gateway_ip="fd00::1",
        pools=(Range("fd00::2", "fd00::ffff"),),
    )
    ready.a.neutron.subnets[v6.id] = v6
    before = [a.spec for a in ready.b.attachments()]
    assert ready.outcome() == "Ready"
    assert [a.spec for a in ready.b.attachments()] == before
    expansion = ready.a.expansion()
    assert expansion is not None
    assert reason(expansion, "SubnetsStretched") == "UnsupportedSubnet"
    assert "fd00::/64" in next(c.message for c in expansion.status.conditions if c.type == "SubnetsStretched")
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.a.expansion() is None
    assert not ready.a.attachments()
    assert ready.a.neutron.subnets[ready.subnet.id].pools == ready.subnet.pools


def test_subnets_added_beyond_the_limit_of_an_offer(ready: Scenario) -> None:
    """Stretched subnets stay stretched; the first others are added up to the limit."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    for number in range(20):
        cidr = f"10.30.{number}.0/24"
        ready.a.neutron.create_subnet(ready.network.id, ready.project, "more", cidr, None, [], True, [], [], "")
    assert ready.outcome() == "Ready"
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    assert len(link.spec.offer.subnets) == 16
    assert ready.subnet.cidr in {s.cidr for s in link.spec.offer.subnets}
    assert reason(ready.a.expansion(), "SubnetsStretched") == "UnsupportedSubnet"


def test_network_shared_later(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    changed = replace(ready.a.neutron.networks[ready.network.id], shared=True)
    ready.a.neutron.networks[ready.network.id] = changed
    assert ready.outcome() == "Ready"


def test_subnet_added_later_that_overlaps_one_of_the_same_project(ready: Scenario) -> None:
    """The last accepted spec stays in force, and the origin learns why the new one is refused."""
    ready.a.expand(ready.network.id, "cloud-b")
    second = ready.second_network("10.21.0.0/24")
    ready.a.expand(second, "cloud-b", name="db")
    assert (ready.outcome(), ready.outcome("db")) == ("Ready", "Ready")
    ready.a.neutron.create_subnet(second, ready.project, "more", ready.subnet.cidr, None, [], True, [], [], "")
    ready.settle()
    replicas = [s.cidr for s in ready.b.neutron.subnets.values()]
    assert sorted(replicas) == ["10.20.0.0/24", "10.21.0.0/24"]
    (ours,) = [k for k in ready.b.links() if k.metadata.name.endswith(second)]
    assert ours.spec.answer is not None
    assert (ours.spec.answer.verdict, ours.spec.answer.reason) == ("Accepted", "SubnetOverlap")


def test_values_too_large_for_a_record_fail_one_network_only(ready: Scenario) -> None:
    ready.a.neutron.networks[ready.network.id] = replace(ready.network, mtu=100)
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "UnsupportedMTU"
    ready.a.neutron.networks[ready.network.id] = ready.network
    pools = tuple(Range(f"10.20.0.{n}", f"10.20.0.{n}") for n in range(2, 255, 2)) * 3
    ready.a.neutron.subnets[ready.subnet.id] = replace(ready.subnet, pools=pools)
    assert ready.outcome() == "UnsupportedSubnet"
    ready.a.neutron.subnets[ready.subnet.id] = ready.subnet
    for number in range(16):
        cidr = f"10.30.{number}.0/24"
        ready.a.neutron.create_subnet(ready.network.id, ready.project, "more", cidr, None, [], True, [], [], "")
    assert ready.outcome() == "UnsupportedSubnet"
    assert not ready.a.attachments()


def test_port_with_more_addresses_than_a_link_holds(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, addresses=tuple(f"10.20.0.{n}" for n in range(20, 40)))
    assert ready.outcome() == "Ready"


def test_unexpected_value_fails_one_network_only(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    port = ready.a.neutron.boot(ready.network.id, ready.project)
    ready.a.neutron.ports[port.id] = replace(port, mac="not a mac")
    ready.a.expand(ready.second_network("10.21.0.0/24"), "cloud-b", name="db")
    ready.settle()
    assert reason(ready.a.expansion(name="db")) == "Ready"
    assert reason(ready.a.expansion()) == "InternalError"
