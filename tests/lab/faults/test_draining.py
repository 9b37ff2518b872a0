"""An agreement is drained: both clouds know the deadline, which is brought forward, then the network is cut.

Calling it off leaves no trace.
"""

from typing import Any

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, patch_spec, wait_ready, wait_reason
from tests.testbed.workload.tenant import Stretch

GRACE_SECONDS = 3600
SHORTENED_SECONDS = 15  # since draining began


def test_draining_ends_the_stretch_at_its_deadline_and_can_be_called_off(peers: Federation, stretched: Stretch) -> None:
    a, b, network = peers.a.cloud, peers.b.cloud, stretched.tenant.name
    (remote,) = stretched.remotes
    link = peers.link_name(stretched.tenant.network_id)
    try:
        drain = {"state": "Drained", "drain": {"graceSeconds": GRACE_SECONDS}}
        patch_spec(a, "cloudpeer", b.cloud_id, {"agreement": drain})
        deadline = wait_until(lambda: announced(peers), 30, "the deadline to be published")
        for cloud, kind, name, namespace in (
            (a, "networkexpansion", network, network),
            (b, "attachment", link, "isthmus-system"),
            (b, "cloudpeer", a.cloud_id, None),
        ):
            what = f"{kind} of {cloud.cloud_id} to have the deadline"
            wait_until(lambda: deadline in text(cloud, kind, name, namespace), 30, what)  # noqa: B023
        assert stretched.local.ping(str(remote.address), count=3).all_answered

        patch_spec(a, "cloudpeer", b.cloud_id, {"agreement": {"drain": {"graceSeconds": SHORTENED_SECONDS}}})
        wait_until(lambda: is_drained(peers), SHORTENED_SECONDS + 60, "nothing to be left at the origin")
        wait_reason(a, "networkexpansion", network, "Drained", network)
        assert stretched.local.ping(str(remote.address), count=5).received == 0
        assert b.openstack().network.get_port(remote.port_id).fixed_ips[0]["ip_address"] == remote.address
    finally:
        patch_spec(a, "cloudpeer", b.cloud_id, {"agreement": {"state": "Active", "drain": None}})
    wait_ready(a, "networkexpansion", network, network)
    stretched.wait_for_ping()
    wait_until(lambda: not text(b, "cloudpeer", a.cloud_id, None), 30, "the peer to know that it is called off")
    wait_until(lambda: not condition(a, "cloudpeer", b.cloud_id, type_="Drained"), 30, "no condition Drained")


def announced(peers: Federation) -> str:
    """The deadline in the drained cloud's PeerLink; empty before it is there."""
    (link,) = objects(peers.a.cloud, "peerlinks")
    return str(link["spec"].get("drain", {}).get("deadline", ""))


def text(cloud: Any, kind: str, name: str, namespace: str | None) -> str:
    """The message of condition PeerDraining; empty if there is none."""
    return str(condition(cloud, kind, name, namespace, "PeerDraining").get("message", ""))


def is_drained(peers: Federation) -> bool:
    return condition(peers.a.cloud, "cloudpeer", peers.b.cloud.cloud_id, type_="Drained").get("status") == "True"
