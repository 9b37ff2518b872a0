"""Nothing blinks: processes are killed and started again while a ping every 10 ms counts what is lost."""

import re
import time
from collections.abc import Callable

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import Installation
from tests.testbed.node.node import Node
from tests.testbed.workload.ping import PingResult
from tests.testbed.workload.tenant import Stretch

INTERVAL_SECONDS = 0.01
SETTLE_SECONDS = 3.0


def lost_while(stretch: Stretch, event: Callable[[], None]) -> PingResult:
    """Ping from A to B every 10 ms during the event and for a while after it."""
    with stretch.local.start_ping(str(stretch.remotes[0].address), INTERVAL_SECONDS) as run:
        began = time.monotonic()
        time.sleep(1)
        event()
        time.sleep(SETTLE_SECONDS)
        seconds = time.monotonic() - began
        result = run.stop()
    # A guest has one processor, on which a new agent starts meanwhile; what sleeps too long sends half as many.
    assert result.transmitted >= 0.7 * seconds / INTERVAL_SECONDS, f"{result} in {seconds:.1f} s is no ping at 10 ms"
    return result


def replace_process(installation: Installation, role: str) -> None:
    """Kill a process that is alive and start another one, which then looks at everything a few times."""
    assert installation.alive(role)
    installation.stop_process(role)
    assert not installation.alive(role)
    if role == "controller":
        installation.start_controller()
    else:
        installation.start_agent()
    installation.wait_reconciled(role, 3)


@pytest.mark.parametrize("side", ["a", "b"])
@pytest.mark.parametrize("role", ["agent", "controller"])
def test_restarted_process_loses_no_traffic(peers: Federation, stretched: Stretch, role: str, side: str) -> None:
    installation = peers.a if side == "a" else peers.b
    result = lost_while(stretched, lambda: replace_process(installation, role))
    assert result.all_answered, result


@pytest.mark.parametrize("side", ["a", "b"])
def test_restarted_neutron_back_end_keeps_our_ports(
    peers: Federation, stretched: Stretch, side: str, record_property: Callable[[str, object], None]
) -> None:
    """What Neutron's own restart loses is its affair and reported; ours is that all works after it."""
    cloud = peers.a.cloud if side == "a" else peers.b.cloud
    before = cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout
    result = lost_while(stretched, cloud.neutron_back_end.restart)
    record_property(f"pings lost by a restart of Neutron's {cloud.back_end}", f"{result.lost} of {result.transmitted}")
    assert cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout == before
    assert stretched.wait_for_ping().all_answered


@pytest.mark.parametrize("side", ["a", "b"])
def test_restarted_charon_is_reconfigured(peers: Federation, stretched: Stretch, side: str) -> None:
    """The old one's SAs carry the traffic until the new one has its own; then they are removed."""
    gateway = (peers.a if side == "a" else peers.b).cloud.gateway
    before = spis(gateway)
    gateway.charon.kill()
    gateway.charon.start()
    wait_until(lambda: spis(gateway) and not spis(gateway) & before, 90, "new SAs alone")
    assert stretched.wait_for_ping(60).all_answered
    peers.wait_for_peers(60)


def spis(node: Node) -> set[str]:
    """The SPIs of all SAs in the kernel of a gateway node that have keys."""
    states = node.run(["ip", "xfrm", "state", "list", "nokeys"]).stdout
    return set(re.findall(r"spi (0x[0-9a-f]{8}) ", states)) - {"0x00000000"}
