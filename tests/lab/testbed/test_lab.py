"""The testbed itself: its clouds without Isthmus, and whether its tools report correctly."""

import contextlib

import pytest

from tests.testbed.cloud.cloud import Cloud, Project
from tests.testbed.host.process import wait_until
from tests.testbed.inventory import difference, difference_once_settled, take
from tests.testbed.lab import Lab
from tests.testbed.wan.wire import Traffic
from tests.testbed.workload.machine import Machine

CIDR = "10.80.0.0/24"


def test_tenant_networks_have_the_mtu_of_their_back_end(cloud: Cloud, machine: Machine) -> None:
    mtu = {"ovn": 1442, "ovs": 1450}[cloud.back_end]
    assert machine.mtu() == mtu


def test_default_group_is_enforced(cloud: Cloud, project: Project, machine: Machine) -> None:
    """Back ends are known to fail open silently."""
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


@pytest.mark.long  # tests of the product need it, and find out
def test_dhcp_provides_the_ports_address_and_the_networks_mtu(cloud: Cloud, project: Project, machine: Machine) -> None:
    network = project.connection.network.get_network(project.connection.network.get_port(machine.port_id).network_id)
    other = cloud.boot(network, "leased", project=project, addressed=False)
    try:
        port = project.connection.network.get_port(other.port_id)
        assert other.request_lease().address == port.fixed_ips[0]["ip_address"]
        assert other.mtu() == network.mtu
        assert other.ping(str(machine.address)).all_answered
    finally:
        other.delete()


@pytest.mark.long  # tests of the product need it, and find out
def test_inventory_is_unchanged_after_a_tenant_is_deleted(cloud: Cloud) -> None:
    before = take(cloud)
    project = cloud.create_project("passing")
    machine = cloud.boot(cloud.create_network(project, "passing", CIDR), "passing", project=project)
    changed = difference(before, take(cloud))
    for section in ("neutron port", "keystone project", "ovsdb Interface", "network namespace"):
        assert f"+ {section}: " in changed
    machine.delete()
    cloud.delete_project(project)
    assert not difference_once_settled(before, cloud)


def test_wan_forwards_and_can_be_cut_and_delayed(lab: Lab) -> None:
    there = str(lab.b.site.gateway_wan_address.ip)

    def replies() -> int:
        done = lab.a.gateway.run(["ping", "-n", "-c", "2", "-i", "0.2", "-W", "1", there], check=False)
        return done.stdout.count(" bytes from ")

    wait_until(lambda: replies() == 2, 30, "both replies")
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
    wait_until(lambda: replies() == 2, 30, "both replies again")


@pytest.mark.long  # tests of the product need it, and find out
def test_peers_api_is_reachable_over_the_wan_until_it_is_cut(lab: Lab) -> None:
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


def test_capture_fails_on_unexpected_traffic(lab: Lab) -> None:
    with lab.wan.capture() as capture:
        lab.a.gateway.run(["ping", "-n", "-c", "1", str(lab.b.site.gateway_wan_address.ip)])
    with pytest.raises(AssertionError, match=r"192\.0\.2\.11 > 198\.51\.100\.11 protocol 1"):
        capture.summary().require_protected()
