"""The peer's API is gone for a minute: the data plane does not notice, the status says so, and it heals by itself."""

import time

from tests.lab.federation import Federation, condition
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch

OUTAGE_SECONDS = 60.0


def test_dead_peer_api_changes_nothing_in_the_data_plane(peers: Federation, stretched: Stretch) -> None:
    a, b = peers.a.cloud, peers.b.cloud
    run = stretched.local.start_ping(str(stretched.remotes[0].address), interval_seconds=0.01)
    began = time.monotonic()
    peers.lab.wan.cut_api("b")
    try:
        wait_until(
            lambda: condition(a, "cloudpeer", b.cloud_id, type_="Reachable").get("status") == "False",
            OUTAGE_SECONDS,
            "the status to say that the peer cannot be reached",
            poll_seconds=1,
        )
        assert condition(a, "networkexpansion", stretched.tenant.name, stretched.tenant.name)["status"] == "True"
        time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
    finally:
        peers.lab.wan.restore_api("b")
    wait_until(
        lambda: condition(a, "cloudpeer", b.cloud_id, type_="Reachable").get("status") == "True",
        60,
        "the peer to be reachable again",
        poll_seconds=1,
    )
    assert run.stop().lost == 0
