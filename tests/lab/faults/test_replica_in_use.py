"""A machine on the replica keeps its port and its address when the network is withdrawn."""

import json
from collections import Counter
from contextlib import ExitStack, suppress

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, wait_reason
from tests.testbed.inventory import Inventory, difference_once_settled, take
from tests.testbed.workload.tenant import Stretch, Tenant

# Numbers of objects: the replica and its machine with Neutron's resources, the project, its member, our Attachment.
LEFT = {
    "neutron network": 1,
    "neutron subnet": 1,
    "neutron port": 3,  # see PORTS_LEFT
    "neutron security group": 1,
    "neutron security group rule": 5,
    "neutron quota": 1,
    "keystone domain": 1,
    "keystone project": 1,
    "keystone user": 1,
    "keystone role assignment": 2,
    "kubernetes Attachment": 1,
    "network namespace": 2,
    "ovsdb Bridge": 1,  # br-int has two additional ports: the machine's and the DHCP server's
    "ovsdb Interface": 2,
    "ovsdb Port": 2,
    "link": 1,
}
# The gateway's address stays reserved as long as the replica exists.
PORTS_LEFT = ["compute:nova", "isthmus:gateway", "network:dhcp"]


@pytest.mark.stage("empty")
@pytest.mark.long  # tests/lab/story/test_reverse_direction.py has it without comparing all that is left
def test_replica_stays_while_a_machine_uses_it(peers: Federation) -> None:
    tenant = Tenant.create(peers.a.cloud, "leftover", "10.40.0.0/24")
    local = tenant.boot("leftover-a")
    tenant.admit()
    name, a, b = tenant.name, peers.a.cloud, peers.b.cloud
    link = peers.link_name(tenant.network_id)
    with peers.unchanged_inventory():
        before = take(b)
        with ExitStack() as undo:
            peers.bind(name, tenant.project.id)
            before_at_origin = take(a)
            undo.enter_context(peers.stretched(name, name, tenant.project.id, tenant.network_id))
            stretch = Stretch.of(peers, tenant, local)
            undo.callback(stretch.remove_remotes)
            remote = stretch.boot_remote("leftover-b")
            stretch.remote.admit()
            stretch.wait_for_ping()
            a.kubectl("delete", "networkexpansion", "-n", name, name, "--timeout=60s")
            reported = wait_reason(b, "attachment", link, "ReplicaInUse", "isthmus-system")
            assert remote.port_id in reported["message"]
            visible = b.kubectl("get", "expansionlinks", "-A", "-o", "json")
            assert remote.port_id not in str(
                [k.get("status", {}).get("conditions") for k in json.loads(visible)["items"]]
            )
            assert local.ping(str(remote.address), count=5).received == 0
            port = b.openstack().network.get_port(remote.port_id)
            assert port.fixed_ips[0]["ip_address"] == remote.address
            assert condition(a, "cloudpeer", b.cloud_id)["status"] == "True"
            assert difference_once_settled(before_at_origin, a) == ""
            with suppress(TimeoutError):
                wait_until(lambda: changes(before, take(b)) == LEFT, 60, "everything else to be removed")
            assert changes(before, take(b)) == LEFT
            ports = b.openstack().network.ports(network_id=port.network_id)
            assert sorted(p.device_owner for p in ports) == PORTS_LEFT
        peers.settle()
    local.delete()
    tenant.delete()


def changes(before: Inventory, after: Inventory) -> dict[str, int]:
    """Number of added, removed and changed objects by section."""
    found = Counter[str]()
    for section in before.sections.keys() | after.sections.keys():
        was, now = before.sections.get(section, {}), after.sections.get(section, {})
        found[section] = sum(was.get(name) != now.get(name) for name in was.keys() | now.keys())
    return dict(+found)
