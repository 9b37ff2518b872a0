"""Slices grow: a receiver says where it has few addresses left, and the origin adds a range."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, Offer
from isthmus.model.api.v1alpha1.networkexpansion import Addressing, NetworkExpansion, RequestedSlice
from isthmus.model.errors import Conflict
from isthmus.model.facts.openstack import Port, Range, Subnet
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario

CIDR = "10.20.0.0/24"


@pytest.fixture
def scenario() -> Scenario:
    """A network of A that is stretched to B with a slice of ten addresses, of which DHCP has one."""
    return stretched(slice_size=10)


def stretched(**addressing: Any) -> Scenario:
    found = Scenario()
    found.a.expand(found.network.id, "cloud-b")
    divide(found, **addressing)
    assert found.outcome() == "Ready"
    return found


def divide(scenario: Scenario, **addressing: Any) -> None:
    expansion = scenario.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"addressing": Addressing(**addressing)})
    scenario.a.kubectl.apply(expansion.model_copy(update={"spec": spec}))


def offer(scenario: Scenario) -> Offer:
    (link,) = [link for link in scenario.a.links() if link.spec.peer_cloud_id == "cloud-b"]
    assert link.spec.offer is not None
    return link.spec.offer


def ranges(scenario: Scenario) -> list[tuple[str, str]]:
    (subnet,) = offer(scenario).subnets
    return [(r.first, r.last) for r in subnet.ranges]


def low(scenario: Scenario) -> tuple[str, ...]:
    (link,) = scenario.b.links()
    assert link.spec.answer is not None
    return link.spec.answer.low_subnets


def replica(cloud: FakeCloud) -> Subnet:
    (found,) = cloud.neutron.subnets.values()
    return found


def boot(scenario: Scenario, count: int, *, settle: bool = True) -> list[Port]:
    """Machines at the peer, each with an address of the replica's pools."""
    (network,) = scenario.b.neutron.networks.values()
    ports = [scenario.b.neutron.boot(network.id, network.project_id) for _ in range(count)]
    if settle:
        scenario.settle()
    return ports


def condition(scenario: Scenario, type_: str = "AddressesLow") -> tuple[str, str] | None:
    expansion = scenario.a.expansion()
    assert expansion is not None
    found = condition_of(expansion.status.conditions, type_)
    return (found.reason, found.message) if found is not None else None


def test_slice_that_runs_short_grows_by_its_first_size(scenario: Scenario) -> None:
    assert ranges(scenario) == [("10.20.0.245", "10.20.0.254")]
    boot(scenario, 8)
    assert (low(scenario), len(ranges(scenario))) == ((), 1), "one of ten is left, which is not yet few"
    machines = boot(scenario, 1)
    assert ranges(scenario) == [("10.20.0.245", "10.20.0.254"), ("10.20.0.235", "10.20.0.244")]
    assert scenario.a.neutron.subnets[scenario.subnet.id].pools == (Range("10.20.0.2", "10.20.0.234"),)
    assert replica(scenario.b).pools == (Range("10.20.0.235", "10.20.0.254"),)
    assert low(scenario) == ()
    machines += boot(scenario, 10)
    assert len(ranges(scenario)) == 3
    assert all(scenario.b.neutron.ports[port.id] == port for port in machines)
    assert (reason(scenario.a.expansion()), reason(scenario.a.expansion(), "AddressConflict")) == (
        "Ready",
        "NoConflict",
    )
    expansion = scenario.a.expansion()
    assert expansion is not None
    assert [(s.first, s.last) for s in expansion.status.peers[0].slices] == ranges(scenario)


def test_everything_is_given_back(scenario: Scenario) -> None:
    for port in (*boot(scenario, 9), *boot(scenario, 10)):
        scenario.b.neutron.delete_port(port.id)
    assert len(ranges(scenario)) == 3
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[scenario.subnet.id] == scenario.subnet
    assert scenario.nothing_made()


def test_slices_do_not_shrink_when_machines_go(scenario: Scenario) -> None:
    machines = boot(scenario, 9)
    grown = ranges(scenario)
    for port in machines:
        scenario.b.neutron.delete_port(port.id)
    scenario.settle()
    assert ranges(scenario) == grown


def test_low_lasts_until_a_fifth_is_left() -> None:
    scenario = stretched(slice_size=20, growth="None")
    machines = boot(scenario, 18)
    assert low(scenario) == (scenario.subnet.id,), "one of twenty"
    for left, expected in ((2, True), (3, True), (4, False), (3, False), (2, False), (1, True)):
        network = next(iter(scenario.b.neutron.networks.values()))
        while 20 - 1 - len(machines) < left:
            scenario.b.neutron.delete_port(machines.pop().id)
        while 20 - 1 - len(machines) > left:
            machines.append(scenario.b.neutron.boot(network.id, network.project_id))
        scenario.settle()
        assert bool(low(scenario)) is expected, f"{left} left"


@pytest.mark.parametrize(
    "addressing",
    [
        {"growth": "None", "slice_size": 10},
        {"slices": (RequestedSlice(peer="cloud-b", cidr=CIDR, first="10.20.0.100", last="10.20.0.109"),)},
    ],
)
def test_tenant_decides_that_it_does_not_grow(addressing: dict[str, Any]) -> None:
    scenario = stretched(**addressing)
    boot(scenario, 9)
    assert len(ranges(scenario)) == 1
    assert condition(scenario) == (
        "SliceDoesNotGrow",
        f"few addresses are left of {CIDR} at cloud-b, and the slice does not grow: set addressing.growth to Auto, or "
        "if its slice is one of addressing.slices delete ports there",
    )
    assert reason(scenario.a.expansion()) == "Ready"


def test_growth_may_be_allowed_later() -> None:
    scenario = stretched(growth="None", slice_size=10)
    boot(scenario, 9)
    divide(scenario, growth="Auto", slice_size=10)
    scenario.settle()
    assert (len(ranges(scenario)), condition(scenario)) == (2, None)


def test_origin_keeps_as_many_free_addresses_as_it_gives() -> None:
    scenario = stretched(slice_size=60)
    for _ in range(4):
        while True:
            try:
                boot(scenario, 1, settle=False)
            except Conflict:
                break
        scenario.settle()
    assert [r[0] for r in ranges(scenario)] == ["10.20.0.195", "10.20.0.135", "10.20.0.75"]
    assert condition(scenario) == (
        "NoAddressesLeft",
        f"cloud-b: its slice would grow by 60 addresses, but of 73 addresses in the allocation pools of {CIDR} 72 are "
        "free, and this cloud keeps 60 of them: delete ports here or there",
    )
    assert reason(scenario.a.expansion()) == "Ready"


def test_a_peer_that_is_always_short_gets_no_more_than_16_ranges() -> None:
    scenario = Scenario()
    subnet = replace(scenario.subnet, cidr="10.20.0.0/22", pools=(Range("10.20.0.2", "10.20.3.254"),))
    scenario.a.neutron.subnets[subnet.id] = subnet
    scenario.a.expand(scenario.network.id, "cloud-b")
    divide(scenario, slice_size=3)
    for _ in range(20):
        boot_all(scenario)
    assert len(ranges(scenario)) == 16
    found = condition(scenario)
    assert found == (
        "NoAddressesLeft",
        "cloud-b: its slice of 10.20.0.0/22 has grown 15 times, which is the most: delete ports there",
    )


def boot_all(scenario: Scenario) -> None:
    """Machines at the peer until it has no address left."""
    scenario.settle()
    (network,) = scenario.b.neutron.networks.values()
    while True:
        try:
            scenario.b.neutron.boot(network.id, network.project_id)
        except Conflict:
            break
    scenario.settle()


def test_older_peers_are_not_grown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither does a receiver say anything to an origin that cannot let slices grow. After an upgrade they grow."""
    monkeypatch.setattr("isthmus.core.federation.peer.PROTOCOL_VERSIONS", (1, 2))
    scenario = stretched(slice_size=10)
    boot(scenario, 9)
    assert (low(scenario), len(ranges(scenario)), condition(scenario)) == ((), 1, None)
    monkeypatch.undo()
    scenario.settle()
    assert (low(scenario), len(ranges(scenario))) == ((), 2)


def test_answer_to_an_earlier_offer_grows_nothing(scenario: Scenario) -> None:
    """It is about the slice before it has grown."""
    boot(scenario, 9)
    assert len(ranges(scenario)) == 2
    (link,) = scenario.b.links()
    assert link.spec.answer is not None
    earlier = link.spec.answer.model_copy(
        update={"generation": link.spec.answer.generation - 1, "low_subnets": (scenario.subnet.id,)}
    )
    FakeCluster(scenario.b.store).apply(
        link.model_copy(update={"spec": link.spec.model_copy(update={"answer": earlier})})
    )
    scenario.a.cycle()
    assert len(ranges(scenario)) == 2


def test_subnet_that_was_not_offered_is_ignored(scenario: Scenario) -> None:
    (link,) = scenario.b.links()
    assert link.spec.answer is not None
    answer = link.spec.answer.model_copy(update={"low_subnets": ("0" * 8 + "-0000-0000-0000-" + "0" * 12,)})
    FakeCluster(scenario.b.store).apply(
        link.model_copy(update={"spec": link.spec.model_copy(update={"answer": answer})})
    )
    scenario.a.cycle()
    assert (len(ranges(scenario)), condition(scenario)) == (1, None)


def test_address_that_is_allocated_meanwhile_is_trimmed_off_the_new_range(scenario: Scenario) -> None:
    taken: list[Port] = []
    update = scenario.a.neutron.update_subnet

    def late(*arguments: Any, **named: Any) -> Any:
        if not taken:
            taken.append(scenario.a.neutron.boot(scenario.network.id, scenario.project, "10.20.0.240"))
        return update(*arguments, **named)

    scenario.a.neutron.update_subnet = late  # type: ignore[method-assign]
    boot(scenario, 9)
    assert ranges(scenario)[1] == ("10.20.0.235", "10.20.0.239")
    assert reason(scenario.a.expansion(), "AddressConflict") == "NoConflict"
    assert scenario.a.neutron.subnets[scenario.subnet.id].pools == (
        Range("10.20.0.2", "10.20.0.234"),
        Range("10.20.0.240", "10.20.0.244"),
    )


def test_addresses_that_the_tenant_added_to_the_pools_are_given_back() -> None:
    scenario = Scenario()
    small = (Range("10.20.0.100", "10.20.0.119"),)
    scenario.a.neutron.subnets[scenario.subnet.id] = replace(scenario.subnet, pools=small)
    scenario.a.expand(scenario.network.id, "cloud-b")
    divide(scenario, slice_size=10)
    assert scenario.outcome() == "Ready"
    scenario.a.neutron.update_subnet(
        scenario.subnet.id, pools=[Range("10.20.0.100", "10.20.0.109"), Range("10.20.0.150", "10.20.0.199")]
    )
    boot(scenario, 9)
    assert ranges(scenario)[1] == ("10.20.0.190", "10.20.0.199")
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[scenario.subnet.id].pools == (
        Range("10.20.0.100", "10.20.0.119"),
        Range("10.20.0.150", "10.20.0.199"),
    )


def test_grown_slice_survives_the_loss_of_the_attachment(scenario: Scenario) -> None:
    boot(scenario, 9)
    before = ranges(scenario), scenario.a.neutron.subnets[scenario.subnet.id].pools
    (attachment,) = scenario.a.attachments()
    scenario.a.kubectl.delete(type(attachment), attachment.metadata.name, attachment.metadata.namespace or "")
    scenario.settle()
    assert (ranges(scenario), scenario.a.neutron.subnets[scenario.subnet.id].pools) == before
    for port in list(scenario.b.neutron.ports.values()):
        if port.device_owner == "compute:nova":
            scenario.b.neutron.delete_port(port.id)
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[scenario.subnet.id].pools == scenario.subnet.pools


def test_use_of_an_address_of_a_further_range_is_a_conflict(scenario: Scenario) -> None:
    boot(scenario, 9)
    port = scenario.a.neutron.boot(scenario.network.id, scenario.project, "10.20.0.236")
    scenario.settle()
    for obj in (scenario.a.expansion(), *scenario.a.attachments(), *scenario.b.attachments()):
        assert reason(obj, "AddressConflict") == "AddressOutsideSlice"
    found = condition(scenario, "AddressConflict")
    assert found is not None
    assert port.id in found[1]


def test_machines_in_a_further_range_are_known_at_the_origin(scenario: Scenario) -> None:
    """As the first range's are: ARP for them is answered here."""
    boot(scenario, 9)
    late = boot(scenario, 1)
    (attachment,) = scenario.a.attachments()
    (path,) = attachment.spec.links
    assert set(late[0].addresses) <= {entry.address for entry in path.known_addresses}


@pytest.mark.parametrize(
    ("further", "text"),
    [
        ([{"first": "10.20.0.250", "last": "10.20.1.2"}], "the slice 10.20.0.250-10.20.1.2 is outside the subnet"),
        ([{"first": "10.20.0.99", "last": "10.20.0.90"}], "the slice 10.20.0.99-10.20.0.90 is outside the subnet"),
        ([{"first": "10.20.0.240", "last": "10.20.0.245"}], "two ranges of the slice overlap"),
        ([{"first": "10.20.0.1", "last": "10.20.0.9"}], "the gateway 10.20.0.1 is inside the slice"),
    ],
)
def test_bad_ranges_are_refused_and_the_accepted_ones_stay(
    scenario: Scenario, further: list[dict[str, str]], text: str
) -> None:
    before = replica(scenario.b)
    (link,) = scenario.a.links()
    wire = link.to_wire()
    wire["spec"]["offer"]["subnets"][0]["furtherRanges"] = further
    FakeCluster(scenario.a.store).apply(ExpansionLink.from_wire(wire))
    scenario.b.cycle()
    (ours,) = scenario.b.links()
    assert ours.spec.answer is not None
    assert (ours.spec.answer.verdict, ours.spec.answer.reason) == ("Accepted", "InvalidOffer")
    assert text in ours.spec.answer.message
    assert replica(scenario.b) == before
