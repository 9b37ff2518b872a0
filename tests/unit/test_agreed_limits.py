"""What a receiver has agreed to hold of a peer: projects, ports, quotas of single projects, lists of projects."""

from __future__ import annotations

import pytest

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import Agreement, Quotas
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import NetworkQuota
from tests.fakes.federation import FakeFederation, reason


class Tenants:
    """Cloud A with three projects with a network each, and cloud B."""

    def __init__(self) -> None:
        self.federation = FakeFederation()
        self.a, self.b = self.federation.clouds
        self.federation.agree()
        found = {name: self.a.tenant(name, f"10.{n}.0.0/24") for n, name in enumerate(("shop", "bakery", "library"), 1)}
        self.projects = {name: project for name, (project, _, _) in found.items()}
        self.networks = {name: network.id for name, (_, network, _) in found.items()}
        self.federation.settle()

    def agree(self, **agreement: object) -> None:
        self.b.agree(self.a, agreement=agreement)
        self.federation.settle()

    def expand(self, name: str) -> str | None:
        self.a.expand(self.networks[name], "cloud-b", namespace=name)
        return self.reason(name)

    def withdraw(self, name: str) -> None:
        self.a.kubectl.delete(NetworkExpansion, "web", name)
        self.federation.settle()

    def reason(self, name: str) -> str | None:
        self.federation.settle()
        return reason(self.a.expansion(name))

    def message(self, name: str) -> str:
        expansion = self.a.expansion(name)
        assert expansion is not None
        return expansion.status.peers[0].message

    def quota(self, name: str) -> NetworkQuota:
        """Of the replica of that project."""
        marker = names.project_marker("cloud-a", self.projects[name])
        (project,) = (p for p in self.b.neutron.projects.values() if p.description == marker)
        return self.b.neutron.quotas[project.id]


@pytest.fixture
def tenants() -> Tenants:
    return Tenants()


@pytest.mark.parametrize("limits", [{"projects": 2}, {"ports": 400}, {"ports": 599}], ids=str)
def test_a_project_beyond_a_limit_is_refused_without_a_trace(tenants: Tenants, limits: dict[str, int]) -> None:
    tenants.agree(limits=limits)
    assert [tenants.expand(name) for name in ("shop", "bakery")] == ["Ready", "Ready"]
    before = tenants.b.neutron.contents()
    assert tenants.expand("library") == "LimitReached"
    assert next(iter(limits)) in tenants.message("library")
    assert "2" not in tenants.message("library")
    assert tenants.b.neutron.contents() == before
    tenants.agree()
    assert tenants.reason("library") == "Ready"


@pytest.mark.parametrize("limits", [{"projects": 1}, {"ports": 200}], ids=str)
def test_a_project_that_is_withdrawn_makes_room(tenants: Tenants, limits: dict[str, int]) -> None:
    tenants.agree(limits=limits)
    assert [tenants.expand(name) for name in ("shop", "bakery")] == ["Ready", "LimitReached"]
    tenants.withdraw("shop")
    assert tenants.reason("bakery") == "Ready"


@pytest.mark.parametrize("limits", [{"projects": 1}, {"ports": 200}], ids=str)
def test_another_network_of_an_accepted_project_needs_no_more(tenants: Tenants, limits: dict[str, int]) -> None:
    tenants.agree(limits=limits)
    assert tenants.expand("shop") == "Ready"
    project = tenants.projects["shop"]
    network = tenants.a.neutron.create_network(project, "db", 1450, "")
    tenants.a.neutron.create_subnet(network.id, project, "db", "10.9.0.0/24", None, [], True, [], [], "")
    tenants.a.expand(network.id, "cloud-b", namespace="shop", name="db")
    tenants.federation.settle()
    assert reason(tenants.a.expansion("shop", "db")) == "Ready"


@pytest.mark.parametrize(
    "agreement",
    [{"limits": {"networks": 0, "projects": 0, "ports": 0}}, {"acceptedProjects": []}],
    ids=["limits", "projects"],
)
def test_lowering_a_limit_never_hurts_what_is_accepted(tenants: Tenants, agreement: dict[str, object]) -> None:
    assert tenants.expand("shop") == "Ready"
    before = tenants.b.neutron.contents()
    tenants.agree(**agreement)
    tenants.b.restart()
    assert tenants.reason("shop") == "Ready"
    assert tenants.b.neutron.contents() == before


def test_two_new_projects_do_not_share_the_last_place(tenants: Tenants) -> None:
    tenants.agree(limits={"projects": 1})
    for name in tenants.networks:
        tenants.a.expand(tenants.networks[name], "cloud-b", namespace=name)
    tenants.federation.settle()
    assert sorted(str(tenants.reason(name)) for name in tenants.networks) == ["LimitReached", "LimitReached", "Ready"]


def test_quotas_of_a_single_project(tenants: Tenants) -> None:
    tenants.agree(projectQuotas=[{"projectID": tenants.projects["shop"], "ports": 5, "networks": 3}])
    assert [tenants.expand(name) for name in ("shop", "bakery")] == ["Ready", "Ready"]
    assert tenants.quota("shop") == NetworkQuota(networks=3, subnets=20, ports=5)
    assert tenants.quota("bakery") == NetworkQuota(networks=10, subnets=20, ports=200)
    tenants.agree()
    assert tenants.quota("shop") == NetworkQuota(networks=10, subnets=20, ports=200)


@pytest.mark.parametrize("exhausted", ["networks", "subnets"])
def test_a_single_project_is_judged_by_its_own_quotas(tenants: Tenants, exhausted: str) -> None:
    tenants.agree(projectQuotas=[{"projectID": tenants.projects["shop"], exhausted: 0}])
    assert [tenants.expand(name) for name in ("shop", "bakery")] == ["QuotaExceeded", "Ready"]


@pytest.mark.parametrize(("ports", "expected"), [(0, "Ready"), (199, "Ready"), (201, "LimitReached")])
def test_ports_are_reserved_by_the_quotas_of_each_project(tenants: Tenants, ports: int, expected: str) -> None:
    """The one that is there, and the one that comes, each with its own."""
    for first, second in (("shop", "bakery"), ("bakery", "shop")):
        tenants.agree(limits={"ports": 399}, projectQuotas=[{"projectID": tenants.projects["shop"], "ports": ports}])
        assert [tenants.expand(name) for name in (first, second)] == ["Ready", expected]
        for name in (first, second):
            tenants.withdraw(name)


@pytest.mark.parametrize("chosen", ["acceptedProjects", "refusedProjects"])
def test_projects_that_are_not_accepted(tenants: Tenants, chosen: str) -> None:
    named = "shop" if chosen == "acceptedProjects" else "bakery"
    tenants.agree(**{chosen: [tenants.projects[named]]})
    untouched = tenants.b.neutron.contents()
    assert tenants.expand("bakery") == "ProjectNotAccepted"
    assert tenants.b.neutron.contents() == untouched
    assert "cloud-b" not in tenants.message("bakery")
    assert tenants.expand("shop") == "Ready"
    tenants.agree()
    assert tenants.reason("bakery") == "Ready"


def test_a_project_on_both_lists_is_refused(tenants: Tenants) -> None:
    both = [tenants.projects["shop"]]
    tenants.agree(acceptedProjects=both, refusedProjects=both)
    assert tenants.expand("shop") == "ProjectNotAccepted"


def test_quotas_that_are_absent_are_those_of_all_projects() -> None:
    agreement = Agreement.model_validate(
        {"quotas": {"networks": 1, "subnets": 2, "ports": 3}, "projectQuotas": [{"projectID": "p", "subnets": 7}]}
    )
    assert agreement.quotas_of("p") == Quotas(networks=1, subnets=7, ports=3)
    assert agreement.quotas_of("other") == agreement.quotas_of(None) == Quotas(networks=1, subnets=2, ports=3)
