"""Machines on a replica get metadata from their own cloud, from both back ends' agents; requests do not cross."""

from collections.abc import Iterator

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import Installation
from tests.testbed.metadata.service import serving
from tests.testbed.workload.machine import Machine
from tests.testbed.workload.tenant import Stretch, captured_stretch

# Neutron's servers and agents are restarted, and a guest imports more of them.
pytestmark = pytest.mark.long

METADATA = "169.254.169.254/32"
CIDRS = {"ovn": "10.28.0.0/24", "ovs": "10.29.0.0/24"}


@pytest.fixture(scope="module")
def served(peers: Federation) -> Iterator[Federation]:
    """Both clouds, peered, which serve metadata."""
    with serving(peers.lab):
        yield peers


@pytest.fixture(scope="module", params=CIDRS)
def stretch(request: pytest.FixtureRequest, served: Federation) -> Iterator[Stretch]:
    """A network stretched to a cloud with that back end; a machine is booted there and has a lease."""
    federation = served.reversed() if request.param == "ovn" else served
    assert federation.receiver.cloud.back_end == request.param
    with captured_stretch(federation, f"metadata-{request.param}", CIDRS[request.param]) as stretch:
        yield stretch


def route_to_metadata(machine: Machine) -> str:
    assert machine.lease is not None
    return machine.lease.routes[METADATA]


def dropped(side: Installation) -> float:
    name, reason = "isthmus_guard_dropped_packets_total", "cloud_service"
    return sum(s.value for s in side.metrics("agent") if s.name == name and s.labels["reason"] == reason)


def test_route_leads_to_a_port_of_neutrons_on_the_replica(stretch: Stretch) -> None:
    (machine,) = stretch.remotes
    assert machine.lease is not None
    ports = stretch.remote.cloud.openstack().network.ports(network_id=stretch.remote.network_id)
    owners = {fixed["ip_address"]: port.device_owner for port in ports for fixed in port.fixed_ips}
    assert owners[route_to_metadata(machine)] in {"network:distributed", "network:dhcp"}
    assert stretch.is_of_slice(route_to_metadata(machine))
    assert machine.lease.routes["0.0.0.0/0"] == machine.lease.router, "the origin's gateway"


def test_machine_gets_its_own_metadata_from_its_own_cloud(stretch: Stretch) -> None:
    (machine,) = stretch.remotes
    cloud = stretch.remote.cloud
    answer = wait_until(machine.ask_metadata, 120, f"metadata for {machine.name}")
    assert answer.split() == [cloud.cloud_id, stretch.remote.project.id, machine.instance_id]


def test_request_to_the_other_clouds_service_does_not_cross(stretch: Stretch) -> None:
    """The origin's machine sends it to the port that serves metadata on the replica."""
    local, origin = stretch.local, stretch.federation.origin
    next_hop = route_to_metadata(stretch.remotes[0])
    ports = stretch.remote.cloud.openstack().network.ports(network_id=stretch.remote.network_id)
    mac = next(p.mac_address for p in ports if any(f["ip_address"] == next_hop for f in p.fixed_ips))
    local.place.run(f"ip neigh replace {next_hop} lladdr {mac} dev eth0; ip route replace {METADATA} via {next_hop}")
    before = dropped(origin)
    assert local.ask_metadata(timeout_seconds=5) == ""
    wait_until(lambda: dropped(origin) > before, 60, "dropped requests to be counted")
