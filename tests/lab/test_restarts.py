"""Nothing blinks: processes are killed and started again while a ping every 10 ms counts what is lost."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.lab.federation import Federation
from tests.lab.ping import PingResult
from tests.lab.process import wait_until
from tests.lab.tenant import Stretch

SETTLE_SECONDS = 3.0


def lost_while(stretch: Stretch, event: Callable[[], None]) -> PingResult:
    """Ping from A to B every 10 ms during the event and for a while after it."""
    run = stretch.local.start_ping(str(stretch.remotes[0].address), interval_seconds=0.01)
    time.sleep(1)
    event()
    time.sleep(SETTLE_SECONDS)
    return run.stop()


@pytest.mark.parametrize("side", ["a", "b"])
def test_agent_killed_and_started_again_loses_nothing(peers: Federation, stretched: Stretch, side: str) -> None:
    installation = peers.a if side == "a" else peers.b
    node = installation.cloud.gateway

    def kill_and_start() -> None:
        node.kill("isthmus-agent", signal.SIGKILL)
        wait_until(lambda: not node.alive("isthmus-agent"), 10, "end of the agent")
        installation.start_agent()
        installation.wait_for_agent()

    result = lost_while(stretched, kill_and_start)
    assert result.lost == 0, result


@pytest.mark.parametrize("side", ["a", "b"])
def test_controller_killed_and_started_again_loses_nothing(peers: Federation, stretched: Stretch, side: str) -> None:
    installation = peers.a if side == "a" else peers.b

    def kill_and_start() -> None:
        installation.cloud.stop("isthmus-controller", grace_seconds=0)
        installation.start_controller()
        time.sleep(SETTLE_SECONDS)

    result = lost_while(stretched, kill_and_start)
    assert result.lost == 0, result


@pytest.mark.parametrize("side", ["a", "b"])
def test_neutron_back_end_restarted_leaves_our_part_alone(
    peers: Federation, stretched: Stretch, side: str, record_property: Callable[[str, object], None]
) -> None:
    """What Neutron's own restart loses is its affair and reported; ours is that all works after it."""
    cloud = peers.a.cloud if side == "a" else peers.b.cloud
    before = cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout
    result = lost_while(stretched, cloud.neutron_back_end.restart)
    record_property(f"pings lost by a restart of {cloud.back_end}", result.lost)
    print(f"{cloud.back_end} restarted: {result.lost} of {result.transmitted} pings lost")
    assert cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout == before
    assert stretched.wait_for_ping().all_answered


@pytest.mark.parametrize("side", ["a", "b"])
def test_new_charon_is_loaded_again(peers: Federation, stretched: Stretch, side: str) -> None:
    gateway = (peers.a if side == "a" else peers.b).cloud.gateway
    gateway.charon.kill()
    gateway.charon.start()
    assert stretched.wait_for_ping(60).all_answered
    peers.wait_for_peers(60)
