"""Missing and wrong keys and kubeconfigs: reported, nothing in clear on the wire, recovers when corrected."""

import json
from typing import Any

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, wait_reason
from tests.testbed.install.installation import Installation

WRONG_KEY = "0" * 64
REASON = "AuthenticationFailed"


def test_changed_key(peers: Federation) -> None:
    """The side with the changed key reports the tunnel down; the other side keeps its SAs."""
    with peers.lab.wan.capture() as capture:
        peers.a.set_psk("cloud-b", WRONG_KEY)
        try:
            ready = wait_until(lambda: _key_mismatch(peers.a), 60, "A to report that its tunnel is down")
            assert WRONG_KEY not in json.dumps([ready, *objects(peers.a.cloud, "gatewaynodes")])
            assert condition(peers.b.cloud, "cloudpeer", "cloud-a")["status"] == "True"
        finally:
            peers.agree_on_key()
        peers.wait_for_peers()
    capture.summary().require_protected()


def test_peering_without_a_key_then_with_differing_keys(peers: Federation) -> None:
    """No SA is negotiated, and both sides report it."""
    with peers.lab.wan.capture() as capture:
        peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-ipsec", "peer-cloud-b")
        try:
            message = _wait_for_missing_key(peers)
            assert "isthmus-ipsec/peer-cloud-b" in message
            peers.a.set_psk("cloud-b", WRONG_KEY)
            wait_until(lambda: "KeyNotFound" not in str(_connection(peers.a)), 60, "A to have a key again")
            for side in peers.both:
                wait_until(lambda: _key_mismatch(side), 60, f"{side.cloud.cloud_id} to report it")  # noqa: B023
                assert _connection(side)["reason"] == REASON
                assert not _associations(side)
        finally:
            peers.agree_on_key()
        peers.wait_for_peers()
    capture.summary().require_protected()


def test_missing_kubeconfig(peers: Federation) -> None:
    good = peers.b.kubeconfig_for("cloud-a")
    peers.a.cloud.kubectl("delete", "secret", "-n", "isthmus-system", "peer-cloud-b")
    try:
        ready = wait_reason(peers.a.cloud, "cloudpeer", "cloud-b", "KubeconfigNotFound")
        assert "isthmus-system/peer-cloud-b" in ready["message"]
    finally:
        peers.a.set_peer_kubeconfig("cloud-b", good)
    peers.wait_for_peers()


def test_kubeconfig_with_exec_is_refused_by_name(peers: Federation) -> None:
    """The program is not executed."""
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
    """SAs in the kernel of that side's gateway node, without acquires (SPI 0)."""
    states = side.cloud.gateway.run(["ip", "xfrm", "state", "list", "nokeys"]).stdout
    return [line for line in states.splitlines() if "proto esp" in line and "spi 0x00000000" not in line]


def _wait_for_missing_key(peers: Federation) -> str:
    """Wait until A's CloudPeer reports a missing key; return reason and message."""

    def message() -> str:
        found = condition(peers.a.cloud, "cloudpeer", "cloud-b")
        text = f"{found.get('reason')}: {found.get('message')}"
        return text if found.get("status") == "False" and "KeyNotFound" in text else ""

    return wait_until(message, 60, "A to report that its key is missing")


def _key_mismatch(side: Installation) -> dict[str, Any]:
    """Condition Ready of that side's CloudPeer if it reports an authentication failure, else nothing."""
    (peer,) = objects(side.cloud, "cloudpeers")
    ready = condition(side.cloud, "cloudpeer", peer["metadata"]["name"])
    refused = (ready.get("status"), ready.get("reason")) == ("False", "AuthenticationFailed")
    return ready if refused and "pre-shared keys differ" in ready["message"] else {}


def _connection(side: Installation) -> dict[str, Any]:
    """Status of the only connection of that side's gateway node."""
    (node,) = objects(side.cloud, "gatewaynodes")
    (connection,) = node["status"]["connections"]
    return dict(connection)
