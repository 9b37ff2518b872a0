"""Addresses that the tenant shares: nobody is given one, machines of all clouds may claim it, and it can be changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.network.origin.shared import shared_addresses
from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Port, Range, Subnet
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario
from tests.unit.test_growth import divide, stretched

VIRTUAL = "10.20.0.100"  # of the origin's addresses, in the middle of its pool
POOLS = (Range("10.20.0.2", "10.20.0.99"), Range("10.20.0.101", "10.20.0.244"))


@pytest.fixture
def ready() -> Scenario:
    """A network of A that is stretched to B with a slice of ten addresses, and shares one address."""
    return stretched(slice_size=10, shared=(VIRTUAL,))


def share(scenario: Scenario, *addresses: str) -> None:
    divide(scenario, slice_size=10, shared=addresses)
    scenario.settle()


def pools(scenario: Scenario) -> tuple[Range, ...]:
    return scenario.a.neutron.subnets[scenario.subnet.id].pools


def offered(scenario: Scenario) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """The shared addresses, and the ranges of the slice."""
    (link,) = scenario.a.links()
    assert link.spec.offer is not None
    return link.spec.offer.shared_addresses, [(r.first, r.last) for r in link.spec.offer.ranges]


def message(scenario: Scenario, type_: str) -> str | None:
    expansion = scenario.a.expansion()
    assert expansion is not None
    found = condition_of(expansion.status.conditions, type_)
    return found.message if found is not None and found.status == "True" else None


def boot(cloud: FakeCloud, *, address: str = "", pair: str = "") -> Port:
    (network,) = cloud.neutron.networks.values()
    port = cloud.neutron.boot(network.id, network.project_id)
    changed = replace(port, addresses=(address,) if address else port.addresses)
    changed = replace(changed, allowed_addresses=(pair,) if pair else ())
    cloud.neutron.ports[port.id] = changed
    return changed


def attachment(cloud: FakeCloud) -> Attachment:
    (only,) = cloud.attachments()
    return only


def recorded(cloud: FakeCloud) -> list[tuple[str, ...]]:
    return [entry.shared for entry in attachment(cloud).spec.record.subnets]


def known(cloud: FakeCloud) -> list[str]:
    """The addresses that the cloud's nodes answer for."""
    return [entry.address for link in attachment(cloud).spec.links for entry in link.known_addresses]


def conflict_of(cloud: FakeCloud) -> str | None:
    return reason(attachment(cloud), "AddressConflict")


def test_nobody_is_given_it(ready: Scenario) -> None:
    assert pools(ready) == POOLS
    assert offered(ready) == ((VIRTUAL,), [("10.20.0.245", "10.20.0.254")])
    assert recorded(ready.a) == [(VIRTUAL,)]
    assert message(ready, "SharedAddressesIgnored") is None


def test_slice_is_chosen_beside_it() -> None:
    scenario = stretched(slice_size=10, shared=("10.20.0.250",))
    assert offered(scenario) == (("10.20.0.250",), [("10.20.0.240", "10.20.0.249")])
    assert pools(scenario) == (Range("10.20.0.2", "10.20.0.239"), Range("10.20.0.251", "10.20.0.254"))


def test_range_of_growth_is_chosen_beside_it() -> None:
    scenario = stretched(slice_size=10, shared=("10.20.0.240",))
    for _ in range(9):
        boot(scenario.b)
    scenario.settle()
    assert offered(scenario)[1] == [("10.20.0.245", "10.20.0.254"), ("10.20.0.230", "10.20.0.239")]


def test_requested_slice_with_it_is_refused() -> None:
    chosen = {"peer": "cloud-b", "cidr": "10.20.0.0/24", "first": "10.20.0.90", "last": "10.20.0.110"}
    scenario = Scenario()
    scenario.a.expand(scenario.network.id, "cloud-b")
    divide(scenario, slice_size=10, slices=(chosen,), shared=(VIRTUAL,))
    assert scenario.outcome() == "NoFreeSlice"
    assert scenario.a.neutron.subnets[scenario.subnet.id] == scenario.subnet, "nothing was changed"


def test_it_can_be_changed_at_any_time(ready: Scenario) -> None:
    share(ready, "10.20.0.50", "10.20.0.2")
    assert offered(ready)[0] == ("10.20.0.2", "10.20.0.50")
    assert pools(ready) == (Range("10.20.0.3", "10.20.0.49"), Range("10.20.0.51", "10.20.0.244"))
    share(ready)
    assert offered(ready)[0] == ()
    assert pools(ready) == (Range("10.20.0.2", "10.20.0.244"),)
    assert recorded(ready.a) == [()]


def test_everything_is_given_back(ready: Scenario) -> None:
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.a.neutron.subnets[ready.subnet.id] == ready.subnet
    assert ready.nothing_made()


def test_everything_is_given_back_after_somebody_has_deleted_the_attachment(ready: Scenario) -> None:
    found = attachment(ready.a)
    ready.a.kubectl.delete(Attachment, found.metadata.name, found.metadata.namespace)
    ready.settle()
    assert pools(ready) == POOLS
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.a.neutron.subnets[ready.subnet.id].pools == ready.subnet.pools


def test_address_outside_the_pools_does_not_get_into_them() -> None:
    scenario = Scenario()
    narrow = replace(scenario.subnet, pools=(Range("10.20.0.10", "10.20.0.90"),))
    scenario.a.neutron.subnets[narrow.id] = narrow
    scenario.a.expand(scenario.network.id, "cloud-b")
    divide(scenario, slice_size=10, shared=(VIRTUAL,))
    assert scenario.outcome() == "Ready"
    share(scenario)
    assert pools(scenario) == (Range("10.20.0.10", "10.20.0.80"),)


def test_not_even_after_somebody_has_deleted_the_attachment() -> None:
    scenario = Scenario()
    narrow = replace(scenario.subnet, pools=(Range("10.20.0.10", "10.20.0.90"),))
    scenario.a.neutron.subnets[narrow.id] = narrow
    scenario.a.expand(scenario.network.id, "cloud-b")
    divide(scenario, slice_size=10, shared=("10.20.0.50", "10.20.0.91", VIRTUAL))
    assert scenario.outcome() == "Ready"
    found = attachment(scenario.a)
    scenario.a.kubectl.delete(Attachment, found.metadata.name, found.metadata.namespace)
    scenario.settle()
    assert attachment(scenario.a).spec.record.subnets == found.spec.record.subnets
    scenario.a.kubectl.delete(NetworkExpansion, "web", "shop")
    scenario.settle()
    assert scenario.a.neutron.subnets[narrow.id].pools == narrow.pools


def test_machines_of_one_cloud_or_both_may_claim_it(ready: Scenario) -> None:
    machine = boot(ready.b, pair=VIRTUAL)
    ready.settle()
    assert (conflict_of(ready.a), conflict_of(ready.b)) == ("NoConflict", "NoConflict")
    boot(ready.a, pair=VIRTUAL)
    ready.settle()
    assert (conflict_of(ready.a), conflict_of(ready.b)) == ("NoConflict", "NoConflict")
    share(ready)
    ready.b.neutron.ports[machine.id] = replace(machine, allowed_addresses=("10.20.0.7",))
    ready.settle()
    assert {conflict_of(ready.a), conflict_of(ready.b)} == {"AddressOutsideSlice"}, "the others are as before"


def test_nothing_answers_for_it(ready: Scenario) -> None:
    boot(ready.a, pair=VIRTUAL)
    ready.settle()
    assert VIRTUAL not in known(ready.b)
    share(ready)
    assert VIRTUAL in known(ready.b), "it is the origin's then"


def test_port_that_has_it_is_named_and_the_rest_goes_on(ready: Scenario) -> None:
    port = boot(ready.a, address="10.20.0.77")
    share(ready, VIRTUAL, "10.20.0.77")
    assert offered(ready)[0] == ("10.20.0.77", VIRTUAL)
    wanted = f"our port {port.id} has 10.20.0.77 as its own, which is a shared address"
    assert message(ready, "AddressConflict") == wanted
    assert (reason(ready.a.expansion()), conflict_of(ready.b)) == ("Ready", "AddressOutsideSlice")
    assert "10.20.0.77" not in known(ready.b)
    ready.a.neutron.delete_port(port.id)
    ready.settle()
    assert message(ready, "AddressConflict") is None
    assert pools(ready)[0] == Range("10.20.0.2", "10.20.0.76"), "nobody is given it later"


def test_no_remote_port_has_it(ready: Scenario) -> None:
    for cloud in (ready.a, ready.b):
        cloud.settings = cloud.settings.model_copy(update={"remote_ports_per_network": 10})
        cloud.restart()
    boot(ready.a, address=VIRTUAL)
    other = boot(ready.a)
    ready.settle()
    remote = [p for p in ready.b.neutron.ports.values() if p.device_owner == "isthmus:remote"]
    found = {address for port in remote for address in port.addresses}
    assert (VIRTUAL in found, other.addresses[0] in found) == (False, True)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("10.21.0.5", "is no address of a machine in any subnet"),
        ("10.20.0.255", "is no address of a machine in any subnet"),
        ("10.20.0.1", "is the gateway of 10.20.0.0/24"),
        ("10.20.0.250", "is in the slice of cloud-b, which never changes"),
    ],
)
def test_what_cannot_be_shared_is_told_and_the_rest_is_shared(ready: Scenario, address: str, why: str) -> None:
    share(ready, address, VIRTUAL)
    assert why in (message(ready, "SharedAddressesIgnored") or "")
    assert offered(ready) == ((VIRTUAL,), [("10.20.0.245", "10.20.0.254")])
    assert (pools(ready), reason(ready.a.expansion())) == (POOLS, "Ready")


def test_address_of_a_slice_is_shared_once_the_slice_is_free(ready: Scenario) -> None:
    share(ready, "10.20.0.250")
    assert message(ready, "SharedAddressesIgnored")
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    ready.a.expand(ready.network.id, "cloud-b")
    divide(ready, slice_size=10, shared=("10.20.0.250",))
    assert ready.outcome() == "Ready"
    assert offered(ready) == (("10.20.0.250",), [("10.20.0.240", "10.20.0.249")])


def test_address_of_ipv6() -> None:
    subnet = Subnet("s", "web", "n", "p", 6, "2001:db8::/64", "2001:db8::1", (), False)
    found = shared_addresses(["2001:db8::1", "2001:db8::5", "2001:db8:1::5"], [subnet], {})
    assert (found.addresses, len(found.problems)) == (("2001:db8::5",), 2)
