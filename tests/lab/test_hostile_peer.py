"""What another cloud may publish, on real parts: refused with a reason, and what is in force stays."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.federation import Federation, condition, objects, patch_spec, wait_reason
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch

OWN, PEER = "cloud-a", "cloud-b"


@contextlib.contextmanager
def forged(peers: Federation, spec: dict[str, Any]) -> Iterator[None]:
    """B publishes something else in its PeerLink than its controller would."""
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
def test_forged_half_is_refused_and_the_last_valid_one_stays(
    peers: Federation, stretched: Stretch, spec: dict[str, Any], reason: str
) -> None:
    run = stretched.local.start_ping(str(stretched.remotes[0].address), interval_seconds=0.02)
    with forged(peers, spec):
        wait_reason(peers.a.cloud, "cloudpeer", PEER, reason)
        (link,) = objects(peers.a.cloud, "peerlinks")
        assert link["status"]["peer"]["spec"]["gateways"] == [{"name": "gw-b1", "address": "198.51.100.11"}]
    assert run.stop().lost == 0
