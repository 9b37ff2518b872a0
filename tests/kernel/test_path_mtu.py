"""Whole agents find out what the path between them carries, where nobody says so, and let nothing leave in clear."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from isthmus.core.node import pathmtu
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.handshake import Handshake, connect
from tests.kernel.losses import dropping
from tests.kernel.openvswitch import sh
from tests.kernel.side import LINK, Side, pair_of
from tests.testbed.host.process import wait_until

WHOLE, LESS = inner_mtu(1500, Vxlan.HEADER_BYTES), inner_mtu(1400, Vxlan.HEADER_BYTES)
BLACK_HOLE = "meta l4proto esp meta length gt 1400"
HEADERS = 20 + 20


@pytest.fixture(autouse=True)
def agreed(stretched: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch) -> None:
    """The network has an MTU, which its machines do not know; a larger size is searched soon."""
    monkeypatch.setattr(pathmtu, "INTERVAL_SECONDS", 2.0)
    for side in stretched:
        sh("ip link set eth0 mtu 1500", side.machine.netns)
        found = side.kubectl.get(Attachment, LINK, names.SYSTEM_NAMESPACE)
        assert found is not None
        side.controller.apply(found.model_copy(update={"spec": found.spec.model_copy(update={"mtu": WHOLE})}))
        side.watch.wake()


def carried(side: Side) -> int | None:
    node = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return next((connection.carried_mtu for connection in node.status.connections), None) if node is not None else None


def become(sides: Iterable[Side], mtu: int) -> None:
    for side in sides:
        wait_until(lambda: carried(side) == mtu, 90, f"a path of {mtu} bytes at {side.name}")  # noqa: B023


def test_a_black_hole_is_found_and_forgotten(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    with pair_of(stretched).wire() as wire:
        become(stretched, WHOLE)
        with dropping(b, BLACK_HOLE):
            become(stretched, LESS)
            wait_until(lambda: crosses(a, LESS), 30, "a packet that crosses whole")
            assert not crosses(a, LESS + 1)
            wait_until(lambda: connect(a.machine, b.machine, "10.20.0.12") == _limited(LESS), 30, "smaller segments")
            wire.summary().require_protected()
        become(stretched, WHOLE)
        assert connect(a.machine, b.machine, "10.20.0.12") == _limited(WHOLE)
        wire.summary().require_protected()


def test_each_end_knows_what_it_can_send(stretched: tuple[Side, Side]) -> None:
    """As when a router has said what the next link carries: the replies of the other end are fragmented."""
    a, b = stretched
    with pair_of(stretched).wire() as wire:
        sh(f"ip route add {b.node.address}/32 dev eth0 mtu 1400", a.node.name)
        become([a], LESS)
        become([b], WHOLE)
        sh(f"ip route del {b.node.address}/32 dev eth0", a.node.name)
        become(stretched, WHOLE)
        wire.summary().require_protected()


def crosses(side: Side, size: int) -> bool:
    """Whether an IP packet of that many bytes, which may be fragmented, reaches the other machine and is answered."""
    return "1 received" in sh(f"ping -nc 1 -W 1 -M dont -s {size - 28} 10.20.0.12 || true", side.machine.netns)


def _limited(mtu: int) -> Handshake:
    return Handshake(mtu - HEADERS, mtu - HEADERS)
