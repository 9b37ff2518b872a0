"""A QoS policy of the network limits machines in both clouds, OVN's and Open vSwitch's, but not the link."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition
from tests.testbed.workload.tenant import Stretch, Tenant, reachable_stretch

CIDR = "10.33.0.0/24"
LIMIT_KBIT_PER_SECOND = 1000


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with machines that reach each other; everything but our policy is removed and compared."""
    with ExitStack() as undo:
        undo.enter_context(peers.unchanged_inventory())
        yield undo.enter_context(reachable_stretch(peers, "limited", CIDR))


@pytest.fixture(scope="module")
def policies(stretch: Stretch) -> Iterator[dict[str, str]]:
    """IDs of the policies that an administrator sets on network and replica, by cloud; unset after the test."""
    with ExitStack() as undo:
        found: dict[str, str] = {}
        for tenant in (stretch.tenant, stretch.remote):
            network = tenant.cloud.openstack().network
            policy = network.create_qos_policy(name="limit", project_id=tenant.project.id)
            undo.callback(network.delete_qos_policy, policy.id)
            network.create_qos_bandwidth_limit_rule(policy.id, max_kbps=LIMIT_KBIT_PER_SECOND)
            network.update_network(tenant.network_id, qos_policy_id=policy.id)
            undo.callback(network.update_network, tenant.network_id, qos_policy_id=None)
            found[tenant.cloud.name] = policy.id
        yield found


def attachment_port(tenant: Tenant) -> Any:
    network = tenant.cloud.openstack().network
    (port,) = network.ports(network_id=tenant.network_id, device_owner="isthmus:attachment")
    return port


def is_limited(cloud: Cloud, port_id: str) -> bool:
    """Whether the back end meters or polices what enters the network by the port."""
    if cloud.back_end == "ovn":
        remote = "$(ovs-vsctl --timeout=30 get Open_vSwitch . external_ids:ovn-remote | xargs)"
        flows = cloud.gateway.run(f"ovn-sbctl --timeout=30 --db={remote} lflow-list").stdout.splitlines()
        return any(f'inport == "{port_id}"' in flow and f"set_meter({LIMIT_KBIT_PER_SECOND})" in flow for flow in flows)
    find = (
        f"ovs-vsctl --timeout=30 --bare --columns=ingress_policing_rate find Interface external_ids:iface-id={port_id}"
    )
    return int(cloud.gateway.run(find).stdout) == LIMIT_KBIT_PER_SECOND


@pytest.mark.parametrize("side", ["origin", "receiver"])
def test_machines_are_limited_and_the_link_is_not(stretch: Stretch, policies: dict[str, str], side: str) -> None:
    tenant, machine = (stretch.tenant, stretch.local) if side == "origin" else (stretch.remote, stretch.remotes[0])
    cloud, network = tenant.cloud, tenant.cloud.openstack().network
    assert network.get_network(tenant.network_id).qos_policy_id == policies[cloud.name]
    wait_until(lambda: is_limited(cloud, machine.port_id), 60, "the limit of a machine")
    wait_until(lambda: attachment_port(tenant).qos_policy_id is not None, 60, "a policy of the attachment port")
    ours = network.get_qos_policy(attachment_port(tenant).qos_policy_id)
    assert (ours.name, ours.project_id, ours.rules) == ("isthmus", attachment_port(tenant).project_id, [])
    wait_until(lambda: not is_limited(cloud, attachment_port(tenant).id), 60, "no limit of the link")
    assert is_limited(cloud, machine.port_id)


@pytest.mark.usefixtures("policies")
def test_expansion_reports_no_limit(stretch: Stretch) -> None:
    tenant = stretch.tenant
    wait_until(lambda: attachment_port(tenant).qos_policy_id is not None, 60, "a policy of the attachment port")
    name = tenant.name
    wait_until(lambda: not condition(tenant.cloud, "networkexpansion", name, name, "QoSPolicy"), 60, "no condition")
    assert condition(tenant.cloud, "networkexpansion", name, name)["status"] == "True"
    assert stretch.wait_for_ping().all_answered


def test_policy_of_the_port_outlives_the_networks(stretch: Stretch, policies: dict[str, str]) -> None:
    """It has no rules, and so nothing has to be undone."""
    tenant = stretch.tenant
    wait_until(lambda: attachment_port(tenant).qos_policy_id is not None, 60, "a policy of the attachment port")
    before = attachment_port(tenant)
    network = tenant.cloud.openstack().network
    network.update_network(tenant.network_id, qos_policy_id=None)
    try:
        wait_until(lambda: not is_limited(tenant.cloud, stretch.local.port_id), 60, "no limit of a machine")
        assert attachment_port(tenant).qos_policy_id == before.qos_policy_id
    finally:
        network.update_network(tenant.network_id, qos_policy_id=policies[tenant.cloud.name])
