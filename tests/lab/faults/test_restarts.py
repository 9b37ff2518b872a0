"""Restarted processes lose no traffic: a ping every 10 ms counts losses."""

from collections.abc import Callable

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.install.installation import Installation
from tests.testbed.workload.loss import ping_losing_nothing
from tests.testbed.workload.tenant import Stretch


def replace_process(installation: Installation, role: str) -> None:
    """Kill a running process and start a new one, which then reconciles a few times."""
    assert installation.alive(role)
    installation.stop_process(role)
    assert not installation.alive(role)
    if role == "controller":
        installation.start_controller()
    else:
        installation.start_agent()
    installation.wait_reconciled(role, 3)


@pytest.mark.parametrize(
    ("role", "side"),
    [
        ("agent", "a"),
        ("controller", "b"),
        pytest.param("agent", "b", marks=pytest.mark.long),
        pytest.param("controller", "a", marks=pytest.mark.long),
    ],
)
def test_restarted_process_loses_no_traffic(peers: Federation, stretched: Stretch, role: str, side: str) -> None:
    installation = peers.a if side == "a" else peers.b
    ping_losing_nothing(stretched, lambda: replace_process(installation, role))


@pytest.mark.parametrize("side", ["a", "b"])
def test_restarted_neutron_back_end_keeps_our_ports(
    peers: Federation, stretched: Stretch, side: str, record_property: Callable[[str, object], None]
) -> None:
    """Losses during Neutron's own restart are recorded only; everything must work after it."""
    cloud = peers.a.cloud if side == "a" else peers.b.cloud
    before = cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout
    result = stretched.ping_beside(cloud.neutron_back_end.restart)
    record_property(f"pings lost by a restart of Neutron's {cloud.back_end}", f"{result.lost} of {result.transmitted}")
    assert cloud.gateway.run("ovs-ofctl -O OpenFlow15 dump-flows br-cloud --no-stats | sort").stdout == before
    assert stretched.wait_for_ping().all_answered


@pytest.mark.parametrize("side", ["a", "b"])
def test_restarted_charon_is_reconfigured(peers: Federation, stretched: Stretch, side: str) -> None:
    """SAs of the old charon carry traffic until the new one has its own; then they are removed."""
    gateway = (peers.a if side == "a" else peers.b).cloud.gateway
    before = gateway.spis()
    gateway.charon.kill()
    gateway.charon.start()
    wait_until(lambda: gateway.spis() and not gateway.spis() & before, 90, "only new SAs")
    assert stretched.wait_for_ping(60).all_answered
    peers.wait_for_peers(60)
