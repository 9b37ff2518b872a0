"""One network added to thousands on one node: which flows are touched on a real Open vSwitch, and the agent's CPU time.

Open vSwitch runs natively on this machine with a data path of its own that carries no packets; no lab is needed.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Final

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.agent.flows import FlowSets
from isthmus.core.node.plan import NodePlanner
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.switch import BridgeView, Ports
from isthmus.model.tracked import Tracked
from tests.bench.result import Result, at_most, reported
from tests.fakes.nodeobjects import ADDRESS, attachment, inputs, link, peer, peerlink
from tests.testbed.host.switch import start_switch

NETWORKS: Final = (1_000, 4_000)
ROUNDS: Final = 15
PEERS: Final = ("cloud-b", "cloud-c", "cloud-d")
CPU_LIMIT: Final = 50.0  # milliseconds
RATIO_LIMIT: Final = 1.2
_SECONDS_BEFORE: Final = 1.1  # than which it takes less to list what a change has installed
_FLOW: Final = re.compile(r"cookie=(0x[0-9a-f]+), duration=([\d.]+)s, (table=\d+), .*?(priority=\S+)")


class Node:
    """A gateway node with networks that are stretched to three peers; its database is in memory."""

    def __init__(self, socket: str, networks: int) -> None:
        self.openflow = OvsOfctl(socket)
        self._numbers = Numbers()
        self._networks: Tracked[str, int] = Tracked()
        self._ofport: Tracked[str, int] = Tracked({names.BRIDGE: 65534, names.PROBE_PORT: 1})
        self._planner = NodePlanner()
        self._flows = FlowSets(self.openflow, self, SystemClock())
        self._attachments: Tracked[str, Attachment] = Tracked()
        self.have([attachment_of(index) for index in range(networks)])
        self._flows.differ()

    def add(self) -> float:
        """Add one network; returns the CPU time in seconds from its Attachment to installed flows."""
        attachment = attachment_of(len(self._attachments))
        return self.have([attachment])

    def look(self) -> float:
        """Observe that nothing is to be done; returns the CPU time in seconds."""
        time.sleep(0.2)  # what the flow monitor reports of the last change
        began = time.process_time()
        assert not self._flows.differ()
        return time.process_time() - began

    def close(self) -> None:
        self.openflow.close()

    def view(self) -> BridgeView:
        return BridgeView(True, Ports(), self._ofport, numbers=self._numbers)

    def ensure_bridge(self) -> None: ...
    def remove_bridge(self) -> None: ...
    def apply(self, add: Ports, remove_interfaces: object) -> None: ...

    def set_numbers(self, numbers: Numbers) -> None:
        self._networks = self._networks.updated(numbers.networks)
        self._numbers = replace(numbers, networks=self._networks)

    def have(self, attachments: Sequence[Attachment]) -> float:
        """Add or replace these; returns the CPU time in seconds until their flows are installed."""
        began = time.process_time()
        self._attachments = self._attachments.updated({each.metadata.name: each for each in attachments})
        inputs = replace(_INPUTS, attachments=self._attachments)
        plan = self._planner.plan(inputs, (NodeAddress(ADDRESS, 1500),), frozenset())
        assert len(plan.networks) == len(self._attachments)
        ports = [names.patch_in_cloud_bridge(attachment.metadata.name) for attachment in attachments]
        new = [name for name in (*ports, *(tunnel.name for tunnel in plan.ports.tunnels)) if name not in self._ofport]
        self._ofport = self._ofport.updated({name: len(self._ofport) + n for n, name in enumerate(new)})
        assert self._flows.ensure(plan, self.view())
        return time.process_time() - began


@dataclass(frozen=True)
class Touched:
    """The number of flows that were added, replaced or deleted; the cookies of those that are new, by their matches."""

    count: int
    new: Mapping[str, str]


def measure() -> list[Result]:
    """The flows touched and the CPU time."""
    with tempfile.TemporaryDirectory() as path, start_switch(Path(path)) as socket:
        seconds = {}
        for networks in NETWORKS:
            node = Node(socket, networks)
            touched = _touched(socket, node)  # of each number, so that no first change is among those measured
            changes = [(node.add(), node.look()) for _ in range(ROUNDS)]
            changed, looked = map(median, zip(*changes, strict=True))
            seconds[networks] = changed, looked, touched
            node.close()
            _ofctl(socket, "del-flows")
        return _results(seconds)


def _results(seconds: Mapping[int, tuple[float, float, float]]) -> list[Result]:
    few, many = (seconds[networks] for networks in NETWORKS)
    return [
        at_most("agent: one network added at 1,000 x 3: flows touched / its own", few[2], "", 1),
        at_most("agent: one network added at 4,000 x 3: flows touched / its own", many[2], "", 1),
        at_most("agent: plan, render and compare one change at 1,000 x 3", few[0] * 1e3, "ms CPU", CPU_LIMIT),
        at_most("agent: plan, render and compare one change, 4,000 / 1,000", many[0] / few[0], "", RATIO_LIMIT),
        reported("agent: observation of unchanged flows at 4,000 x 3", many[1] * 1e3, "ms CPU"),
    ]


def _touched(socket: str, node: Node) -> float:
    """The flows that are touched when one network is added, divided by those with its cookie."""
    found = touched(socket, node.add)
    (cookie,) = set(found.new.values())
    return found.count / sum(1 for each, _ in _installed(socket).values() if each == cookie)


def touched(socket: str, change: Callable[[], object]) -> Touched:
    """What a change of the node's does to the flows: one that is younger than before has been installed again."""
    time.sleep(_SECONDS_BEFORE)
    before = _installed(socket)
    change()
    after = _installed(socket)
    changed = [match for match, (_, age) in after.items() if match not in before or age < before[match][1]]
    new = {match: after[match][0] for match in changed if match not in before}
    return Touched(len(changed) + len(before.keys() - after.keys()), new)


def _installed(socket: str) -> dict[str, tuple[str, float]]:
    """Cookie and age in seconds by table and match."""
    return {
        f"{table},{match}": (cookie, float(age))
        for cookie, age, table, match in _FLOW.findall(_ofctl(socket, "dump-flows"))
    }


def _gateway(index: int) -> dict[str, str]:
    return {"name": f"gw-{index}", "address": f"198.51.{100 + index}.11"}


def attachment_of(index: int) -> Attachment:
    """Of a network that is stretched to all peers of the node."""
    links = tuple(link(0x100000 + index, cloud_id, _gateway(i)) for i, cloud_id in enumerate(PEERS))
    return attachment(f"{index:08x}-9cbb-4d3c-8d4e-000000000001", links)


_PEERS: Final = tuple(peer(cloud_id, f"198.51.{100 + i}.0/24") for i, cloud_id in enumerate(PEERS))
_PEERLINKS: Final = tuple(peerlink(cloud_id, _gateway(i)) for i, cloud_id in enumerate(PEERS))
_INPUTS: Final = inputs(peers=_PEERS, peerlinks=_PEERLINKS)


def _ofctl(socket: str, verb: str) -> str:
    target = f"unix:{Path(socket.removeprefix('unix:')).parent}/{names.BRIDGE}.mgmt"
    words = ["ovs-ofctl", "-O", "OpenFlow15", "--no-names", verb, target]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
