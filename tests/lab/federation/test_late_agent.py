"""A network goes and another one comes while an agent is late: no frame of one gets into the other."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product

import pytest

from tests.lab.federation.hub import Everywhere, Hub, all_hear_all, at_origin, everywhere
from tests.testbed.host.process import wait_until
from tests.testbed.node.node import Node
from tests.testbed.workload.broadcast import BroadcastRun, Heard

pytestmark = [pytest.mark.stage("third"), pytest.mark.long]

BROADCASTS = 40
"""How many each machine sends while the agent is late."""


@contextmanager
def late(node: Node) -> Iterator[None]:
    """Stop the node's agent with SIGSTOP for the duration of the block."""
    assert node.kill("isthmus-agent", signal.SIGSTOP)
    try:
        yield
    finally:
        node.kill("isthmus-agent", signal.SIGCONT)


@pytest.mark.parametrize("whose", ["a", "c"])
def test_no_frame_crosses_while_an_agent_is_late(hub: Hub, whose: str) -> None:
    """Machines of the network that goes keep on sending; the replicas stay until they are gone."""
    (node,) = (cloud.gateway for cloud in hub.clouds if cloud.name == whose)
    with everywhere(hub, "going", "10.61.0.0/24") as going, at_origin(hub, "coming", "10.62.0.0/24") as coming:
        going.admit_all()
        with BroadcastRun(going.machines, going.broadcast) as old:
            wait_until(lambda: all_hear_all(old, going.machines), 30, "broadcasts of all machines everywhere")
            with late(node):
                going.delete_expansion()
                coming.request()
                coming.boot_remotes()
                coming.admit_all()
                with BroadcastRun(coming.machines, coming.broadcast) as new:
                    since = old.heard()
                    wait_until(lambda: sent_more(new) and sent_more(old, since), 60, "broadcasts of both networks")
                    require_apart(going, coming, old, new)
            coming.wait_expanded()
            with BroadcastRun(coming.machines, coming.broadcast) as new:
                wait_until(lambda: all_hear_all(new, coming.machines), 60, "broadcasts of the network that came")
                require_apart(going, coming, old, new)
        for network in (going, coming):
            network.release()


def sent_more(run: BroadcastRun, since: dict[str, Heard] | None = None) -> bool:
    """Whether each machine has sent enough."""
    return all(of.sent >= BROADCASTS + (since[name].sent if since else 0) for name, of in run.heard().items())


def require_apart(one: Everywhere, other: Everywhere, *runs: BroadcastRun) -> None:
    """Fail if a machine has received anything of the other network, or anything twice."""
    heard = {name: of for run in runs for name, of in run.heard().items()}
    for mine, theirs in ((one, other), (other, one)):
        sources = {str(machine.address) for machine in theirs.machines}
        crossed = [
            (receiver.name, source)
            for receiver, source in product(mine.machines, sources)
            if any(sender == source for sender, _ in heard[receiver.name].seen)
        ]
        assert crossed == []
    assert {name: of.more_than_once for name, of in heard.items() if of.more_than_once} == {}
