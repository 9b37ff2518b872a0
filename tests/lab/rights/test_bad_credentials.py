"""Keys and kubeconfigs that are missing or wrong: said where they are, nothing in clear on the wire, and it heals."""

import json
from typing import Any

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, wait_reason
from tests.testbed.install.installation import Installation

WRONG_KEY = "0" * 64
UNEQUAL_KEYS = "AuthenticationFailed"


def test_changed_key(peers: Federation) -> None:
    """Where it was changed, the tunnel is said to be down; the other side keeps what the old key negotiated."""
    with peers.lab.wan.capture() as capture:
        peers.a.set_psk("cloud-b", WRONG_KEY)
        try:
            said = wait_until(lambda: _says_unequal(peers.a), 60, "A to say that its tunnel is down")
            assert WRONG_KEY not in json.dumps([said, *objects(peers.a.cloud, "gatewaynodes")])
            assert condition(peers.b.cloud, "cloudpeer", "cloud-a")["status"] == "True"
        finally:
            peers.agree_on_key()
        peers.wait_for_peers()
    capture.summary().require_protected()


def test_peering_without_a_key_then_with_differing_keys(peers: Federation) -> None:
    """Nothing is negotiated then, and both sides say so."""
    with peers.lab.wan.capture() as capture:
        peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-ipsec", "peer-cloud-b")
        try:
            message = _wait_for_missing_key(peers)
            assert "isthmus-ipsec/peer-cloud-b" in message
            peers.a.set_psk("cloud-b", WRONG_KEY)
            wait_until(lambda: "KeyNotFound" not in str(_connection(peers.a)), 60, "A to have a key again")
            for side in peers.both:
                wait_until(lambda: _says_unequal(side), 60, f"{side.cloud.cloud_id} to say it")  # noqa: B023
                assert _connection(side)["reason"] == UNEQUAL_KEYS
                assert not _associations(side)
        finally:
            peers.agree_on_key()
        peers.wait_for_peers()
    capture.summary().require_protected()


def test_missing_kubeconfig(peers: Federation) -> None:
    good = peers.b.kubeconfig_for("cloud-a")
    peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-system", "peer-cloud-b")
    try:
        said = wait_reason(peers.a.cloud, "cloudpeer", "cloud-b", "KubeconfigNotFound")
        assert "isthmus-system/peer-cloud-b" in said["message"]
    finally:
        peers.a.set_peer_kubeconfig("cloud-b", good)
    peers.wait_for_peers()


def test_kubeconfig_with_exec_is_refused_by_name(peers: Federation) -> None:
    """And nothing runs: what the program would leave is not there."""
    trace, good = peers.lab.directory / "trace", peers.b.kubeconfig_for("cloud-a")
    program: dict[str, Any] = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    program |= {"command": "touch", "args": [str(trace)]}
    peers.a.set_peer_kubeconfig("cloud-b", good.replace("token:", f"exec: {json.dumps(program)}\n    token:"))
    try:
        assert "exec" in wait_reason(peers.a.cloud, "cloudpeer", "cloud-b", "InvalidKubeconfig")["message"]
        assert not trace.exists()
    finally:
        peers.a.set_peer_kubeconfig("cloud-b", good)
    peers.wait_for_peers()


def _associations(side: Installation) -> list[str]:
    """SAs in the kernel of that side's gateway node; with SPI 0 it is asking for one."""
    states = side.cloud.gateway.run(["ip", "xfrm", "state", "list", "nokeys"]).stdout
    return [line for line in states.splitlines() if "proto esp" in line and "spi 0x00000000" not in line]


def _wait_for_missing_key(peers: Federation) -> str:
    """Wait until A's CloudPeer says it; what it says."""

    def said() -> str:
        found = condition(peers.a.cloud, "cloudpeer", "cloud-b")
        text = f"{found.get('reason')}: {found.get('message')}"
        return text if found.get("status") == "False" and "KeyNotFound" in text else ""

    return wait_until(said, 60, "A to say that its key is missing")


def _says_unequal(side: Installation) -> dict[str, Any]:
    """What the CloudPeer of that side says, once it says that the tunnel is down for keys that are not equal."""
    (peer,) = objects(side.cloud, "cloudpeers")
    ready = condition(side.cloud, "cloudpeer", peer["metadata"]["name"])
    refused = (ready.get("status"), ready.get("reason")) == ("False", "AuthenticationFailed")
    return ready if refused and "pre-shared keys differ" in ready["message"] else {}


def _connection(side: Installation) -> dict[str, Any]:
    """What the gateway node of that side says of its one connection."""
    (node,) = objects(side.cloud, "gatewaynodes")
    (connection,) = node["status"]["connections"]
    return dict(connection)
