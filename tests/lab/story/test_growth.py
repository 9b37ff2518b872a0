"""A slice that is used up grows: Neutron of the receiver, which has no address left, has some again."""

from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Any

import pytest
from openstack.exceptions import ConflictException

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition
from tests.testbed.workload.tenant import Stretch, reachable_stretch

# The planner's side of it, and what prevents growth, is in tests/unit/test_growth.py.
pytestmark = pytest.mark.long

CIDR = "10.46.0.0/27"  # the slice has 8 addresses


def another_port(stretch: Stretch) -> Any:
    """A further port of the tenant's on the replica; None while Neutron has no address for it."""
    network = stretch.remote.project.connection.network
    try:
        return network.create_port(network_id=stretch.remote.network_id)
    except ConflictException:
        return None


def is_in_a_pool_of_the_origin(stretch: Stretch, address: str) -> bool:
    (subnet,) = stretch.tenant.cloud.openstack().network.subnets(network_id=stretch.tenant.network_id)
    pools = [(IPv4Address(pool["start"]), IPv4Address(pool["end"])) for pool in subnet.allocation_pools]
    return any(first <= IPv4Address(address) <= last for first, last in pools)


def test_slice_that_is_used_up_grows(peers: Federation) -> None:
    with ExitStack() as undo:
        stretch = undo.enter_context(reachable_stretch(peers, "growing", CIDR))
        used, address = 0, str(stretch.remotes[0].address)
        while stretch.is_of_slice(address):
            port = wait_until(lambda: another_port(stretch), 60, f"an address after {used} of the slice")
            undo.callback(stretch.remote.project.connection.network.delete_port, port)
            used, address = used + 1, port.fixed_ips[0]["ip_address"]
        assert 1 < used <= 8
        assert not is_in_a_pool_of_the_origin(stretch, address)
        machine = stretch.boot_remote("growing-later")
        undo.callback(machine.delete)
        undo.callback(stretch.remotes.remove, machine)
        wait_until(lambda: stretch.local.ping(str(machine.address), count=3).all_answered, 30, "a reply")
        name = stretch.tenant.name
        assert condition(stretch.tenant.cloud, "networkexpansion", name, name)["status"] == "True"
        assert condition(stretch.tenant.cloud, "networkexpansion", name, name, "AddressConflict")["status"] == "False"
