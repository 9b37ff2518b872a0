"""A machine that is still on the copy keeps its port and its address when the stretch is cut."""

import json
from contextlib import ExitStack

from tests.lab.federation import Federation, condition, wait_reason
from tests.lab.inventory import difference, take
from tests.lab.tenant import Stretch, Tenant


def test_copy_stays_while_a_machine_is_on_it(peers: Federation) -> None:
    tenant = Tenant.create(peers.a.cloud, "leftover", "10.40.0.0/24")
    local = tenant.boot("leftover-a")
    tenant.admit()
    name, a, b = tenant.name, peers.a.cloud, peers.b.cloud
    link = f"{a.cloud_id}.{tenant.network_id}"
    with peers.nothing_changes():
        before = take(b)
        with ExitStack() as undo:
            undo.enter_context(peers.stretched(name, name, tenant.project.id, tenant.network_id))
            stretch = Stretch.of(peers, tenant, local)
            undo.callback(stretch.remove_remotes)
            remote = stretch.boot_remote("leftover-b")
            stretch.remote.admit()
            stretch.wait_for_ping()
            a.kubectl("delete", "networkexpansion", "-n", name, name, "--timeout=30s")
            said = wait_reason(b, "attachment", link, "CopyInUse", "isthmus-system")
            assert remote.port_id in said["message"]
            visible = b.kubectl("get", "expansionlink", link, "-n", f"isthmus-peer-{a.cloud_id}", "-o", "json")
            assert remote.port_id not in json.dumps(json.loads(visible)["status"].get("conditions", []))
            assert local.ping(str(remote.address), count=5).received == 0
            port = b.openstack().network.get_port(remote.port_id)
            assert port.fixed_ips[0]["ip_address"] == remote.address
            assert condition(a, "cloudpeer", b.cloud_id)["status"] == "True"
            left = difference(before, take(b))
            assert "leftover-b" in left
            # The port that reserves the gateway's address stays as long as the copy does.
            for ours in ("isthmus:attachment", "ovsdb Interface: is", "+ xfrm policy", "+ link: is"):
                assert ours not in left
        peers.settle()
    local.delete()
    tenant.delete()
