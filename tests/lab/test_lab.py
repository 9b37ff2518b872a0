"""The lab itself, and the one assumption about Neutron that everything else stands on: the attachment port."""

import contextlib
import itertools
from collections.abc import Iterator

import pytest

from tests.lab.cloud import Cloud, Project
from tests.lab.inventory import difference, difference_once_settled, take
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.lab.process import wait_until
from tests.lab.wire import Traffic

CIDR = "10.80.0.0/24"
PROBE_ADDRESS = "10.80.0.250"
_NUMBERS = itertools.count(1)


@pytest.fixture
def project(cloud: Cloud) -> Iterator[Project]:
    """A tenant, removed with all that it made."""
    project = cloud.create_project(f"lab-{next(_NUMBERS)}")
    yield project
    cloud.delete_project(project)


@pytest.fixture
def machine(cloud: Cloud, project: Project) -> Iterator[Machine]:
    """A machine of that tenant with a static address."""
    network = cloud.create_network(project, "lab", CIDR)
    machine = cloud.boot(network, f"lab-{next(_NUMBERS)}", project=project)
    yield machine
    machine.delete()


@contextlib.contextmanager
def probe_behind_patch(cloud: Cloud, port_id: str, mac_address: str) -> Iterator[str]:
    """A bridge of the test's own, patched to br-int under a port's ID; behind it an address. Gives its MAC."""
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


def test_attachment_port_goes_active_and_carries_traffic(cloud: Cloud, machine: Machine) -> None:
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
            wait_until(lambda: network.get_port(attachment.id).status == "ACTIVE", 30, "attachment ACTIVE")
            wait_until(lambda: machine.ping(PROBE_ADDRESS, count=1).all_answered, 15, "a reply of the probe")
            assert machine.neighbours()[PROBE_ADDRESS] == mac_address
    finally:
        network.delete_port(attachment)


def test_tenant_networks_have_the_mtu_of_their_back_end(cloud: Cloud, machine: Machine) -> None:
    mtu = {"ovn": 1442, "ovs": 1450}[cloud.back_end]
    assert machine.mtu() == mtu


def test_default_group_is_enforced(cloud: Cloud, project: Project, machine: Machine) -> None:
    """Back ends are known to fail open, silently."""
    network = project.connection.network
    closed = network.create_security_group(name="closed")
    network_id = network.get_port(machine.port_id).network_id
    port = network.create_port(network_id=network_id, security_groups=[closed.id])
    other = cloud.boot(network.get_network(network_id), "closed", project=project, port=port)
    try:
        assert machine.ping(str(other.address), count=3).received == 0
        network.create_security_group_rule(
            security_group_id=closed.id, direction="ingress", ethertype="IPv4", remote_ip_prefix=CIDR
        )
        wait_until(lambda: machine.ping(str(other.address), count=1).all_answered, 30, "a reply")
        assert machine.tcp_exchange(other).intact
    finally:
        other.delete()


def test_dhcp_gives_the_ports_address_and_the_networks_mtu(cloud: Cloud, project: Project, machine: Machine) -> None:
    network = project.connection.network.get_network(project.connection.network.get_port(machine.port_id).network_id)
    other = cloud.boot(network, "leased", project=project, dhcp=True)
    try:
        port = project.connection.network.get_port(other.port_id)
        assert other.lease is not None
        assert other.lease.address == port.fixed_ips[0]["ip_address"]
        assert other.mtu() == network.mtu
        assert other.ping(str(machine.address)).all_answered
    finally:
        other.delete()


def test_inventory_is_the_same_after_a_tenant_has_gone(cloud: Cloud) -> None:
    before = take(cloud)
    project = cloud.create_project("passing")
    machine = cloud.boot(cloud.create_network(project, "passing", CIDR), "passing", project=project)
    changed = difference(before, take(cloud))
    for section in ("neutron port", "keystone project", "ovsdb Interface", "network namespace"):
        assert f"+ {section}: " in changed
    machine.delete()
    cloud.delete_project(project)
    assert not difference_once_settled(before, cloud)


def test_wan_carries_and_is_cut_and_delayed(lab: Lab) -> None:
    there = str(lab.b.site.gateway_wan_address.ip)

    def replies() -> int:
        done = lab.a.gateway.run(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", there], check=False)
        return done.stdout.count(" bytes from ")

    assert replies() == 2
    lab.wan.cut()
    try:
        assert replies() == 0
    finally:
        lab.wan.restore()
    lab.wan.delay(50)
    try:
        slow = lab.a.gateway.run(["ping", "-n", "-q", "-c", "2", there]).stdout
        assert float(slow.split(" = ")[1].split("/")[0]) >= 100
    finally:
        lab.wan.delay(0)
    assert replies() == 2


def test_api_of_a_peer_is_read_over_the_wan_until_it_is_cut(lab: Lab) -> None:
    server = lab.b.kube.kubeconfig_at(str(lab.b.site.server_wan_address.ip))

    def answers() -> bool:
        command = ["get", "--raw", "/readyz", "--request-timeout=3s"]
        with contextlib.suppress(Exception):
            return lab.a.kube.kubectl(*command, kubeconfig=server) == "ok"
        return False

    with lab.wan.capture() as capture:
        assert answers()
    assert capture.summary().counts[Traffic.API] > 0
    capture.summary().require_protected()
    lab.wan.cut_api("b")
    try:
        assert not answers()
    finally:
        lab.wan.restore_api("b")
    assert answers()


def test_capture_fails_on_what_is_not_expected(lab: Lab) -> None:
    with lab.wan.capture() as capture:
        lab.a.gateway.run(["ping", "-n", "-c", "1", str(lab.b.site.gateway_wan_address.ip)])
    with pytest.raises(AssertionError, match=r"192\.0\.2\.11 > 198\.51\.100\.11 protocol 1"):
        capture.summary().require_protected()
