"""A federation on one node whose peers have different ciphers."""

from __future__ import annotations

from dataclasses import replace

from tests.bench.tunnels.esp import KERNEL_CIPHERS
from tests.kernel.kinds import Federation
from tests.kernel.openvswitch import sh


def use(federation: Federation, peer: str, cipher: str) -> None:
    """Have ESP between the hub and a peer use this cipher; before they connect."""
    ends = {federation.hub.node.address, federation.clouds[peer].node.address}
    for cloud in (federation.hub, federation.clouds[peer]):
        connections = tuple(
            replace(connection, esp_proposals=(f"{cipher}-ecp384",))
            if connection.ends.addresses == ends
            else connection
            for connection in cloud.plan.connections
        )
        cloud.plan = replace(cloud.plan, connections=connections)


def require(federation: Federation, peer: str, cipher: str) -> None:
    """Raise RuntimeError unless all SAs of a peer have this cipher."""
    states = sh("ip xfrm state list nokeys", federation.clouds[peer].node.name)
    if {name for name in KERNEL_CIPHERS.values() if name in states} != {KERNEL_CIPHERS[cipher]}:
        raise RuntimeError(f"the SAs of {peer} do not have {cipher}:\n{states}")
