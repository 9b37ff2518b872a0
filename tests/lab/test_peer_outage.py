"""The peer's API is gone for a minute: the data plane does not notice, the status says so, and it heals by itself."""

import time

from tests.lab.federation import Federation, condition
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch

OUTAGE_SECONDS = 60.0


def test_dead_peer_api_changes_nothing_in_the_data_plane(peers: Federation, stretched: Stretch) -> None:
    a, b = peers.a.cloud, peers.b.cloud

    def wait_reachable(status: str) -> None:
        wait_until(
            lambda: condition(a, "cloudpeer", b.cloud_id, type_="Reachable").get("status") == status,
            OUTAGE_SECONDS,
            f"Reachable to be {status}",
            poll_seconds=1,
        )

    with stretched.local.start_ping(str(stretched.remotes[0].address), interval_seconds=0.01) as run:
        began = time.monotonic()
        peers.lab.wan.cut_api("b")
        try:
            wait_reachable("False")
            assert condition(a, "networkexpansion", stretched.tenant.name, stretched.tenant.name)["status"] == "True"
            time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - began)))
        finally:
            peers.lab.wan.restore_api("b")
        wait_reachable("True")
        result = run.stop()
    assert result.all_answered, result
