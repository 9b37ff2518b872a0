"""A tenant chooses the slice, such as that of a subnet whose addresses are managed elsewhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.networkexpansion import Addressing, NetworkExpansion, RequestedSlice
from isthmus.model.facts.openstack import Range
from tests.fakes.federation import reason
from tests.fakes.scenario import Scenario


def request(scenario: Scenario, *slices: tuple[str, str, str], peers: tuple[str, ...] = ("cloud-b",)) -> None:
    scenario.a.expand(scenario.network.id, *peers)
    expansion = scenario.a.expansion()
    assert expansion is not None
    wanted = tuple(RequestedSlice(peer=p, cidr="10.20.0.0/24", first=first, last=last) for p, first, last in slices)
    spec = expansion.spec.model_copy(update={"addressing": Addressing(slices=wanted)})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))


@pytest.mark.parametrize("is_lost", [False, True], ids=["recorded", "Attachment deleted by somebody"])
def test_subnet_without_pools(is_lost: bool) -> None:
    scenario = Scenario()
    subnet = replace(scenario.subnet, pools=())
    scenario.a.neutron.subnets[subnet.id] = subnet
    request(scenario, ("cloud-b", "10.20.0.100", "10.20.0.119"), ("cloud-c", "10.20.0.120", "10.20.0.129"))
    assert scenario.outcome() == "Ready"
    assert scenario.a.neutron.subnets[subnet.id].pools == ()
    (replica,) = scenario.b.neutron.subnets.values()
    assert replica.pools == (Range("10.20.0.100", "10.20.0.119"),)
    (found,) = scenario.a.attachments()
    if is_lost:
        scenario.a.kubectl.delete(Attachment, found.metadata.name, found.metadata.namespace)
        scenario.settle()
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[subnet.id] == subnet


def test_slice_of_pools_is_cut_and_restored() -> None:
    scenario = Scenario()
    request(scenario, ("cloud-b", "10.20.0.10", "10.20.0.19"), peers=("cloud-b", "cloud-c"))
    assert scenario.outcome() == "Ready"
    pools = scenario.a.neutron.subnets[scenario.subnet.id].pools
    assert pools[:2] == (Range("10.20.0.2", "10.20.0.9"), Range("10.20.0.20", "10.20.0.194"))
    (replica,) = scenario.c.neutron.subnets.values()
    assert replica.pools == (Range("10.20.0.195", "10.20.0.254"),)
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[scenario.subnet.id].pools == scenario.subnet.pools


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("10.20.0.250", "10.20.1.5", "is not a range of addresses of the subnet"),
        ("10.20.0.90", "10.20.0.80", "is not a range of addresses of the subnet"),
        ("10.20.0.1", "10.20.0.9", "contains addresses in use"),
    ],
)
def test_slice_that_cannot_be_given(first: str, last: str, text: str) -> None:
    scenario = Scenario()
    request(scenario, ("cloud-b", first, last))
    assert scenario.outcome() == "NoFreeSlice"
    expansion = scenario.a.expansion()
    assert expansion is not None
    condition = condition_of(expansion.status.conditions, "Ready")
    assert condition is not None
    assert condition.message == f"cloud-b: the requested slice {first}-{last} of 10.20.0.0/24 {text}"
    assert scenario.a.neutron.subnets[scenario.subnet.id] == scenario.subnet


def test_two_peers_cannot_get_the_same_addresses() -> None:
    scenario = Scenario()
    overlapping = (("cloud-b", "10.20.0.10", "10.20.0.19"), ("cloud-c", "10.20.0.19", "10.20.0.29"))
    request(scenario, *overlapping, peers=("cloud-b", "cloud-c"))
    scenario.settle()
    expansion = scenario.a.expansion()
    assert expansion is not None
    assert [peer.reason for peer in expansion.status.peers] == ["Ready", "NoFreeSlice"]
    assert "overlaps the slice of another peer" in expansion.status.peers[1].message
    assert reason(expansion) == "NoFreeSlice"
