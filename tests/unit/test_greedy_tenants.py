"""Requests that cannot be admitted cost no call to OpenStack, and one namespace can ask for so many networks only."""

from __future__ import annotations

from typing import cast

import pytest

from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.ports import NetworkCloud
from tests.fakes.federation import FakeCloud, FakeFederation, reason
from tests.fakes.many import Counted

LIMIT = 2


def _counted(cloud: FakeCloud) -> Counted:
    counted = Counted(cloud.neutron)
    cloud.restart(cloud.with_cloud(cast(NetworkCloud, counted)))
    cloud.cycle(resync=True)
    counted.calls.clear()
    return counted


def test_namespace_without_a_project_costs_no_call_to_openstack() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    federation.settle()
    counted = _counted(a)
    a.namespace("nobody")
    for number in range(50):
        a.expand(f"{number:08x}-0000-4000-8000-000000000000", "cloud-b", namespace="nobody", name=f"x{number}")
    for _ in range(3):
        a.cycle(resync=True)
    assert set(counted.calls) <= {"check"}
    assert {reason(a.expansion("nobody", f"x{number}")) for number in range(50)} == {"NamespaceNotBound"}


AGREEMENTS: dict[str, tuple[dict[str, object], str]] = {
    "no such peer": ({}, "PeerNotFound"),
    "cordoned": ({"state": "Cordoned"}, "Cordoned"),
    "another project": ({"allowedProjects": ["11111111111141118111111111111111"]}, "ProjectNotAllowed"),
}


def _expand_many(cloud: FakeCloud, peer: str) -> list[str]:
    """Requests for networks of any ID, in a namespace that is bound to a project."""
    for number in range(50):
        cloud.expand(f"{number:08x}-0000-4000-8000-000000000000", peer, namespace="shop", name=f"x{number}")
    return [f"x{number}" for number in range(50)]


@pytest.mark.parametrize("agreement", AGREEMENTS)
def test_network_that_no_peer_can_get_costs_no_call_to_openstack(agreement: str) -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    fields, expected = AGREEMENTS[agreement]
    federation.agree()
    if fields:
        a.agree(b, agreement=fields)
    a.tenant()
    federation.settle()
    counted = _counted(a)
    names = _expand_many(a, "cloud-b" if fields else "nobody")
    for _ in range(3):
        a.cycle(resync=True)
    assert set(counted.calls) <= {"check"}
    assert {reason(a.expansion(name=name)) for name in names} == {expected}


def test_without_an_agreement_no_call_is_made_and_with_one_networks_are_stretched() -> None:
    federation = FakeFederation()
    a, b = federation.clouds
    a.agree(b)
    _, network, _ = a.tenant()
    federation.settle()
    counted = _counted(a)
    a.expand(network.id, "cloud-b")
    names = _expand_many(a, "cloud-b")
    for _ in range(3):
        a.cycle(resync=True)
        a.controller.engine.follow_openstack()
    assert set(counted.calls) <= {"check"}
    assert {reason(a.expansion(name=name)) for name in ["web", *names]} == {"WaitingForAgreement"}
    b.agree(a)
    federation.settle()
    assert reason(a.expansion()) == "Ready"
    assert {reason(a.expansion(name=name)) for name in names} == {"NetworkNotFound"}


def test_expansions_beyond_the_limit_wait_for_others_to_go() -> None:
    federation = FakeFederation()
    a, _ = federation.clouds
    federation.agree()
    a.settings = a.settings.model_copy(update={"expansions_per_namespace": LIMIT})
    a.restart()
    project, first, _ = a.tenant()
    networks = [first] + [a.neutron.create_network(project, f"n{number}", 1450, "") for number in range(LIMIT + 1)]
    for number, network in enumerate(networks[1:]):
        cidr = f"10.{40 + number}.0.0/24"
        a.neutron.create_subnet(network.id, project, "s", cidr, None, [], True, [], [], "")
    for number, network in enumerate(networks):
        a.expand(network.id, "cloud-b", name=f"web{number}")
    federation.settle()
    found = [reason(a.expansion(name=f"web{number}")) for number in range(len(networks))]
    assert found == ["Ready"] * LIMIT + ["TooManyExpansions"] * 2
    a.expand(networks[3].id, "cloud-b", name="a-name-that-sorts-first")
    federation.settle()
    assert reason(a.expansion(name="web0")) == reason(a.expansion(name="web1")) == "Ready", "what has begun stays"
    a.kubectl.delete(NetworkExpansion, "a-name-that-sorts-first", "shop")
    a.kubectl.delete(NetworkExpansion, "web0", "shop")
    federation.settle()
    assert [reason(a.expansion(name=f"web{number}")) for number in (1, 2, 3)] == ["Ready", "Ready", "TooManyExpansions"]
