"""Whole iterations of an agent with thousands of networks, on a real Open vSwitch: a change, and when nothing changes.

Open vSwitch runs natively on this machine with a data path of its own that carries no packets; no lab is needed. All
else of the node is in memory. BFD is down: no packets arrive. What grows with the number of networks is how long
ovs-vswitchd takes to apply a change, and how large the columns are that OVSDB's client library copies for it.
"""

import logging
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Final

from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE
from isthmus.model.node.host import ProbeResult
from tests.bench.agent import PEERS, harness_of, network
from tests.bench.flowsets import CPU_LIMIT, NETWORKS
from tests.bench.result import Result, at_most, reported
from tests.testbed.host.switch import start_switch, vsctl

_ROUNDS: Final = 11
_SETTLING_SECONDS: Final = 0.3  # until the last change has been notified of


class _Answered:
    """`ports.DataplaneProbe`; every frame is reflected."""

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        return dict.fromkeys(macs, ProbeResult(1, 1, 0.001))


class _Node:
    """An agent that has all its networks in place."""

    def __init__(self, socket: str, networks: int) -> None:
        self._harness = harness_of(networks)
        self._database, self._openflow = OvsdbDatabase(socket, 300, "dummy"), OvsOfctl(socket)
        backends = replace(self._harness.backends(), ovsdb=self._database, openflow=self._openflow, probe=_Answered())
        self._agent = self._harness.new_agent(backends)
        self._harness.read()
        self._networks = networks
        for _ in range(3):
            self._agent.iterate()
            self._agent.prober.probe_once()
        assert len(self._database.view().ports.patches) == networks

    def add(self) -> float:
        """Add a network; returns the CPU time in seconds from the event of its Attachment to published reports."""
        added = network(self._networks).to_wire()
        self._networks += 1
        time.sleep(_SETTLING_SECONDS)
        began = time.process_time()
        self._harness.intents.attachments.changed(Attachment.registration.kind, added)
        self._agent.iterate()
        return time.process_time() - began

    def look(self) -> float:
        """Observe that nothing has changed; returns the CPU time in seconds."""
        time.sleep(_SETTLING_SECONDS)
        self._agent.iterate()
        began = time.process_time()
        self._agent.iterate()
        return time.process_time() - began

    def close(self) -> None:
        self._openflow.close()
        self._database.close()


def measure() -> list[Result]:
    """CPU time of a change and of an observation."""
    logging.getLogger("isthmus").setLevel(logging.ERROR)
    found = {}
    for networks in NETWORKS:
        with tempfile.TemporaryDirectory() as path, start_switch(Path(path)) as socket:
            settings = "set", "bridge", INTEGRATION_BRIDGE, "datapath_type=dummy"
            vsctl(socket, "del-br", BRIDGE, "--", "add-br", INTEGRATION_BRIDGE, "--", *settings)
            node = _Node(socket, networks)
            node.add()
            found[networks] = tuple(map(median, zip(*((node.add(), node.look()) for _ in range(_ROUNDS)), strict=True)))
            node.close()
    few, many = (found[networks] for networks in NETWORKS)
    case = "agent: iteration with one network added"
    return [
        reported(f"{case} at 1,000 x {PEERS}, real Open vSwitch", few[0] * 1e3, "ms CPU"),
        at_most(f"{case} at 4,000 x {PEERS}, real Open vSwitch", many[0] * 1e3, "ms CPU", CPU_LIMIT),
        reported(f"agent: observation at 1,000 x {PEERS}, real Open vSwitch", few[1] * 1e3, "ms CPU"),
        reported(f"agent: observation at 4,000 x {PEERS}, real Open vSwitch", many[1] * 1e3, "ms CPU"),
    ]
