"""What agents report of a path whose packets the kernel drops: in one direction, long ones, all of IKE, everything.

None of it makes anything leave in clear.
"""

from __future__ import annotations

import signal
from contextlib import ExitStack

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayPath
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.agreements import reason_of
from tests.kernel.handshake import connect
from tests.kernel.losses import FRAGMENTS, dropping
from tests.kernel.openvswitch import sh
from tests.kernel.side import LINK, Side, pair_of
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

MTU = 1400
WHOLE = inner_mtu(1500, Vxlan.HEADER_BYTES)
FAR = "10.20.0.12"
ICMP_ERRORS = "icmp type destination-unreachable"
HEALTHY = GatewayPath(ike=True, esp=True, peer_receives=True, mtu=MTU, full_size=True)


def path(side: Side) -> GatewayPath | None:
    node = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return next((connection.path for connection in node.status.connections), None) if node is not None else None


def become(side: Side, wanted: GatewayPath, seconds: float = 90) -> None:
    try:
        wait_until(lambda: path(side) == wanted, seconds, f"path of {side.name}")
    except TimeoutError:
        assert path(side) == wanted


def test_paths(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    for side in stretched:
        found = side.kubectl.get(Attachment, LINK, names.SYSTEM_NAMESPACE)
        assert found is not None
        side.controller.apply(found.model_copy(update={"spec": found.spec.model_copy(update={"mtu": MTU})}))
        side.watch.wake()
    for side in stretched:
        become(side, HEALTHY)
    with dropping(a, "meta l4proto esp meta length gt 1300"):
        become(a, HEALTHY.model_copy(update={"full_size": False}))
    become(a, HEALTHY)
    with dropping(a, "meta l4proto esp"):
        become(a, GatewayPath(ike=True, esp=False))
        become(b, GatewayPath(ike=True, esp=True, peer_receives=False))
    for side in stretched:
        become(side, HEALTHY)


def test_esp_that_is_blocked_in_one_direction(stretched: tuple[Side, Side]) -> None:
    """Nothing is tried in clear or negotiated in vain, and it heals by itself: the same SAs as ever carry traffic."""
    a, b = stretched
    before = [side.node.associations() for side in stretched]
    with pair_of(stretched).wire() as wire, dropping(b, "meta l4proto esp"):
        for side in stretched:
            wait_until(lambda side=side: reason_of(side) == "BFDDown", 30, f"a report of {side.name}")  # type: ignore[misc]
        assert a.machine.ping(FAR, 1) == 0
        summary = wire.summary()
        summary.require_protected()
        assert summary.esp > 0
    with pair_of(stretched).wire() as wire:
        for side in stretched:
            wait_until(side.connected, 30, f"connection of {side.name}")
        wait_until(lambda: a.machine.ping(FAR) == 3, 30, "traffic")
        wire.summary().require_protected()
    assert [side.node.associations() for side in stretched] == before


def test_without_fragments_and_icmp_errors_tcp_crosses_and_large_packets_are_lost(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    for side in stretched:
        sh("ip link set eth0 mtu 1500", side.machine.netns)
    wait_until(lambda: _crosses(a, 1500), 20, "a large packet")
    with ExitStack() as obstacles, pair_of(stretched).wire() as wire:
        for side in stretched:
            obstacles.enter_context(dropping(side, FRAGMENTS))
            obstacles.enter_context(dropping(side, ICMP_ERRORS))
        assert not _crosses(a, WHOLE + 1)
        wait_until(lambda: _crosses(a, WHOLE), 20, "a packet that crosses whole")
        connect(a.machine, b.machine, FAR, payload_bytes=200_000)
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] > 0, "of the larger packet"
    for side in stretched:
        assert side.connected()
    wait_until(lambda: _crosses(a, 1500), 20, "a large packet again")
    for side in stretched:
        sh("ip link set eth0 mtu 1416", side.machine.netns)


def test_silent_gateway(stretched: tuple[Side, Side]) -> None:
    """The old SAs carry ESP on, while a new charon gets no answer."""
    a, _ = stretched
    with dropping(a, "udp sport 500"):  # all the time: else IKE succeeds between the two, and nothing is pinged
        with dropping(a, "ip saddr 192.0.2.2 ip protocol != esp"):
            a.node.end_charon(signal.SIGKILL)
            a.node.start_charon()
            wait_until(lambda: (found := path(a)) is not None and found.ping is False, 60, "silence")
        wait_until(lambda: (found := path(a)) is not None and found.ping is True, 60, "an ICMP echo")
        assert (found := path(a)) is not None
        assert found.ike is False
    become(a, HEALTHY)


def _crosses(side: Side, size: int) -> bool:
    """Whether a request of that many bytes, which may be fragmented, is answered."""
    answered = sh(f"ping -nc 1 -W 1 -M dont -s {size - 28} {FAR} || true", side.machine.netns)
    return "1 received" in answered
