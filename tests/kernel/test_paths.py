"""What agents report of a path whose packets the kernel drops: in one direction, long ones, all of IKE, everything."""

from __future__ import annotations

import signal

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode, GatewayPath
from tests.kernel.losses import dropping
from tests.kernel.side import LINK, Side
from tests.testbed.host.process import wait_until

MTU = 1400
HEALTHY = GatewayPath(ike=True, esp=True, peer_receives=True, mtu=MTU, full_size=True)


def path(side: Side) -> GatewayPath | None:
    node = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return next((connection.path for connection in node.status.connections), None) if node is not None else None


def become(side: Side, wanted: GatewayPath, seconds: float = 40) -> None:
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


def test_silent_gateway(stretched: tuple[Side, Side]) -> None:
    """The old SAs carry ESP on, while a new charon gets no answer."""
    a, _ = stretched
    with dropping(a, "udp sport 500"):  # all the time: else IKE succeeds between the two, and nothing is pinged
        with dropping(a, "ip saddr 192.0.2.2 ip protocol != esp"):
            a.node.end_charon(signal.SIGKILL)
            a.node.start_charon()
            wait_until(lambda: (found := path(a)) is not None and found.ping is False, 60, "silence")
        wait_until(lambda: (found := path(a)) is not None and found.ping is True, 20, "an ICMP echo")
        assert (found := path(a)) is not None
        assert found.ike is False
    become(a, HEALTHY, 60)
