"""Invalid objects published by a peer: refused with a reason; the last accepted spec stays in force."""

import contextlib
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, patch_spec, wait_reason
from tests.testbed.workload.loss import ping_losing_nothing
from tests.testbed.workload.tenant import Stretch

OWN, PEER = "cloud-a", "cloud-b"


@contextlib.contextmanager
def forged(peers: Federation, spec: dict[str, Any]) -> Iterator[None]:
    """Replace the spec of the PeerLink that B publishes."""
    peers.b.stop_process("controller")
    try:
        patch_spec(peers.b.cloud, "peerlink", PEER, spec, "-n", f"isthmus-peer-{OWN}")
        yield
    finally:
        peers.b.start_controller()
        wait_until(
            lambda: condition(peers.a.cloud, "cloudpeer", PEER).get("status") == "True", 60, "A to trust B again"
        )


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"gateways": [{"name": "gw-b1", "address": "192.0.2.11"}]}, "GatewayRefused"),
        ({"gateways": [{"name": "gw-b1", "address": "203.0.113.9"}]}, "GatewayRefused"),
        ({"cloudID": "cloud-c"}, "WrongCloudID"),
    ],
    ids=["our own address", "address outside the agreement", "another cloud's ID"],
)
def test_forged_link_is_refused_and_the_last_accepted_spec_is_kept(
    peers: Federation, stretched: Stretch, spec: dict[str, Any], reason: str
) -> None:
    def forge() -> None:
        with forged(peers, spec):
            wait_reason(peers.a.cloud, "cloudpeer", PEER, reason)
            (link,) = objects(peers.a.cloud, "peerlinks")
            assert link["status"]["peer"]["spec"]["gateways"] == [{"name": "gw-b1", "address": "198.51.100.11"}]

    ping_losing_nothing(stretched, forge)


def test_another_peers_gateway_is_refused(peers: Federation) -> None:
    """B claims an address that belongs to a third peer, which is not connected yet."""
    manifest = json.loads(peers.a.cloud.kubectl("get", "cloudpeer", PEER, "-o", "json"))
    spec = manifest["spec"] | {"cloudID": "cloud-c", "gatewayCIDRs": ["203.0.113.0/24"]}
    third = {k: manifest[k] for k in ("apiVersion", "kind")} | {"metadata": {"name": "cloud-c"}, "spec": spec}
    peers.a.cloud.kubectl("apply", "-f", "-", input=json.dumps(third))
    try:
        with forged(peers, {"gateways": [{"name": "gw-b1", "address": "203.0.113.9"}]}):
            assert "another peer" in wait_reason(peers.a.cloud, "cloudpeer", PEER, "GatewayRefused")["message"]
    finally:
        peers.a.cloud.kubectl("delete", "cloudpeer", "cloud-c", "--timeout=60s")


def test_offer_with_a_tunnel_id_of_our_range_is_refused(peers: Federation) -> None:
    """B offers a network with a tunnel ID of A's range."""
    network_id = str(uuid.uuid4())
    link = f"{PEER}.{network_id}"
    subnet = {"id": network_id, "cidr": "10.94.0.0/24", "first": "10.94.0.200", "last": "10.94.0.250"}
    offer = {"tunnelID": 0x100000, "project": {"id": uuid.uuid4().hex}, "subnets": [subnet]}
    spec = {"cloudID": PEER, "peerCloudID": OWN, "mtu": 1416, "offer": offer}
    manifest = {
        "apiVersion": "isthmus.cloud/v1alpha1",
        "kind": "ExpansionLink",
        "metadata": {"name": link, "namespace": f"isthmus-peer-{OWN}"},
        "spec": spec | {"origin": {"cloudID": PEER, "networkID": network_id}},
    }

    def answer() -> Any:
        found = [o for o in objects(peers.a.cloud, "expansionlinks") if o["metadata"]["name"] == link]
        return found[0]["spec"]["answer"] if found else None

    peers.b.stop_process("controller")
    try:
        peers.b.cloud.kubectl("apply", "-f", "-", input=json.dumps(manifest))
        answered = wait_until(answer, 60, "A's answer")
        assert (answered["verdict"], answered["reason"]) == ("Refused", "InvalidTunnelID")
        assert not [o for o in objects(peers.a.cloud, "attachments") if o["metadata"]["name"] == link]
    finally:
        where = ("-n", f"isthmus-peer-{OWN}")
        peers.b.cloud.kubectl("delete", "expansionlink", link, *where, "--timeout=60s", "--ignore-not-found")
        peers.b.start_controller()
    wait_until(lambda: answer() is None, 90, "A to delete its refusal with the offer")
