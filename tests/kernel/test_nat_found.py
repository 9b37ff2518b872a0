"""A NAT that nobody has declared, between two gateways: charon finds it out."""

from __future__ import annotations

import time
from pathlib import Path

from isthmus.model.node.ipsec import EspTransport, EspTunnel
from tests.kernel.behind import FOUND, NAT_B, PUBLIC, UNDECLARED, neighbourhood, plan_of, public_wire
from tests.kernel.kinds import join_networks
from tests.kernel.node import KEY
from tests.testbed.host.process import wait_until


def test_a_nat_that_nobody_has_declared_is_found_out(tmp_path: Path) -> None:
    """Charon of either side says so, although no child comes up; published without an address, it is enough."""
    with neighbourhood(tmp_path) as made:
        a1, p = made.nodes["a1"], made.nodes["p"]
        for name, cloud in (("a1", a1), ("p", p)):
            cloud.plan = plan_of(name, UNDECLARED)
            cloud.fence()
            for connection in cloud.plan.connections:
                assert isinstance(connection.protection, EspTransport) or connection.ends.remote_address == NAT_B
                cloud.node.ike.load(connection, KEY)
        (to_p,) = (c for c in a1.plan.connections if c.ends.remote_address == PUBLIC)
        (to_a1,) = (c for c in p.plan.connections if c.ends.remote_address == a1.node.address)

        def found() -> tuple[str | None, str | None]:
            a1.node.ike.initiate(to_p.name)
            time.sleep(0.3)
            views = (a1.node.ike.view().states, to_p.name), (p.node.ike.view().states, to_a1.name)
            here, there = (states[name].in_force.nat if name in states else None for states, name in views)
            return here, there

        wait_until(lambda: found() == ("Local", "Remote"), 30, "the NAT")

        with public_wire("nat-a") as wire:
            for name, cloud in (("p", p), ("a1", a1)):
                cloud.plan = plan_of(name, FOUND)
                cloud.fence()
                cloud.connect()
            join_networks((a1, p))
            # As the agent does: a trap alone would bring one of the two children.
            (hidden,) = (c for c in a1.plan.connections if c.ends.remote_address == PUBLIC)
            assert (hidden.initiator, type(hidden.protection)) == (True, EspTunnel)
            a1.node.ike.initiate(hidden.name)
            wait_until(lambda: made.machines["a1", "p"].ping(1) == 1, 20, "traffic")
            assert made.machines["a1", "p"].ping(5) == 5
            wire.require_protected()
