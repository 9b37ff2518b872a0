"""The assumption about Neutron that everything else relies on: a port without addresses carries traffic."""

import contextlib
from collections.abc import Iterator

import pytest

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.workload.machine import Machine

pytestmark = pytest.mark.stage("ports")

PROBE_ADDRESS = "10.80.0.250"


@contextlib.contextmanager
def probe_behind_patch(cloud: Cloud, port_id: str, mac_address: str) -> Iterator[str]:
    """A bridge that is patched to br-int with a port's ID, and an address behind it; yields the MAC address."""
    node = cloud.gateway
    node.run(
        "set -e; ovs-vsctl --timeout=60 add-br br-probe -- set bridge br-probe datapath_type=system "
        "-- add-port br-probe probe -- set interface probe type=internal "
        "-- add-port br-probe to-int -- set interface to-int type=patch options:peer=to-probe "
        "-- add-port br-int to-probe -- set interface to-probe type=patch options:peer=to-int "
        f"external_ids:iface-id={port_id} external_ids:attached-mac={mac_address}\n"
        "ip netns add probe; ip link set probe netns probe\n"
        f"ip -n probe address add {PROBE_ADDRESS}/24 dev probe; ip -n probe link set probe up"
    )
    try:
        yield node.run("ip netns exec probe cat /sys/class/net/probe/address").stdout.strip()
    finally:
        node.run("ovs-vsctl --timeout=60 del-port br-int to-probe -- del-br br-probe; ip netns del probe")


def test_attachment_port_becomes_active_and_carries_traffic(cloud: Cloud, machine: Machine) -> None:
    network = cloud.openstack().network
    attachment = network.create_port(
        network_id=network.get_port(machine.port_id).network_id,
        name="attachment",
        fixed_ips=[],
        port_security_enabled=False,
        security_groups=[],
        binding_host_id=cloud.gateway.name,
    )
    try:
        assert (attachment.fixed_ips, attachment.status) == ([], "DOWN")
        assert machine.ping(PROBE_ADDRESS, count=1).received == 0
        with probe_behind_patch(cloud, attachment.id, attachment.mac_address) as mac_address:
            wait_until(lambda: network.get_port(attachment.id).status == "ACTIVE", 60, "attachment ACTIVE")
            wait_until(lambda: machine.ping(PROBE_ADDRESS, count=1).all_answered, 60, "a reply of the probe")
            assert machine.neighbours()[PROBE_ADDRESS] == mac_address
    finally:
        network.delete_port(attachment)
