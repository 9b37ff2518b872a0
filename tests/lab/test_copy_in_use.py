"""A machine that is still on the copy keeps its port and its address when the stretch is cut."""

import json

from tests.lab.federation import Federation, condition, wait_reason
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch, Tenant


def test_copy_stays_while_a_machine_is_on_it(peers: Federation) -> None:
    tenant = Tenant.create(peers.a.cloud, "leftover", "10.40.0.0/24")
    local = tenant.boot("leftover-a")
    name, origin = tenant.name, peers.a.cloud.cloud_id
    link = f"{origin}.{tenant.network_id}"
    with peers.stretched(name, name, tenant.project.id, tenant.network_id):
        stretch = Stretch.of(peers, tenant, local)
        remote = stretch.boot_remote("leftover-b")
        stretch.admit()
        stretch.wait_for_ping()
        peers.a.cloud.kubectl("delete", "networkexpansion", "-n", name, name, "--timeout=30s")
        said = wait_reason(peers.b.cloud, "attachment", link, "CopyInUse", "isthmus-system")
        assert remote.port_id in said["message"]
        visible = peers.b.cloud.kubectl("get", "expansionlink", link, "-n", f"isthmus-peer-{origin}", "-o", "json")
        assert remote.port_id not in json.dumps(json.loads(visible)["status"].get("conditions", []))
        wait_until(lambda: local.ping(str(remote.address), count=1).received == 0, 30, "the stretch to be cut")
        port = peers.b.cloud.openstack().network.get_port(remote.port_id)
        assert port.fixed_ips[0]["ip_address"] == remote.address
        assert peers.copy_of(tenant.network_id) is not None
        assert condition(peers.a.cloud, "cloudpeer", peers.b.cloud.cloud_id)["status"] == "True"
        stretch.remove_remotes()
    local.delete()
    tenant.delete()
    peers.settle()
