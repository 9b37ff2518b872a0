"""What one port more costs in a network with 100 and with 10,000 ports: two clouds' controllers, and a gateway's agent.

Both networks take turns, so that their ratios are those of one round. Open vSwitch runs natively on this machine with a
data path of its own that carries no packets; no lab is needed.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.portslice import PortSlice
from tests.bench.crowd import Change, Crowd
from tests.bench.flowsets import Node, attachment_of, touched
from tests.bench.result import Result, at_most, exactly, reported
from tests.bench.tunnels.rounds import spread
from tests.testbed.host.switch import start_switch

FEW, MANY, ROUNDS = 100, 10_000, 9
WIRE_BYTES_LIMIT: Final = 40_000


@dataclass(frozen=True)
class Round:
    """One port more in one of the networks."""

    change: Change
    agent_seconds: float
    """CPU time of the origin's agent, from the Attachment's event to installed flows."""
    flows: int
    """Flows of br-cloud that were added, replaced or deleted."""


class Network:
    """A network that has so many ports after the last round, and a gateway node with its flows."""

    def __init__(self, ports: int, socket: str) -> None:
        self._crowd, self._node, self._socket = Crowd(ports - ROUNDS), Node(socket, 0), socket
        self._learn()

    def round(self) -> Round:
        """Add a port."""
        change, seconds = self._crowd.add(), list[float]()
        found = touched(self._socket, lambda: seconds.append(self._learn()))
        return Round(change, seconds[0], found.count)

    def largest_slice(self) -> int:
        """Bytes of an event that has the largest slice."""
        return self._crowd.largest_slice()

    def close(self) -> None:
        self._node.close()

    def _learn(self) -> float:
        """The node's own network gets the owners that the controller has written; returns the CPU time in seconds."""
        network = attachment_of(0)
        spec = network.spec.model_copy(update={"owners": self._crowd.attachment().spec.owners})
        written = json.dumps(network.model_copy(update={"spec": spec}).to_wire())
        began = time.process_time()
        self._node.have([Attachment.from_wire(json.loads(written))])
        return time.process_time() - began


def measure() -> list[Result]:
    """Bytes, requests, flows and CPU time."""
    logging.getLogger("isthmus").setLevel(logging.ERROR)
    with ExitStack() as undo:
        networks = []
        for ports in (FEW, MANY):
            directory = Path(undo.enter_context(tempfile.TemporaryDirectory()))
            networks.append(Network(ports, undo.enter_context(start_switch(directory))))
            undo.callback(networks[-1].close)
        rounds = [[network.round() for network in networks] for _ in range(ROUNDS)]
        few, many = ([of[index] for of in rounds] for index in (0, 1))
        return [*_counts(many, networks[1].largest_slice()), *_ratios(few, many)]


def _counts(rounds: Sequence[Round], largest_slice: int) -> Iterator[Result]:
    """What does not depend on the time: the most of all rounds."""
    case, changes = f"one port more of {MANY:,}", [each.change for each in rounds]
    slices = max(change.published.count(PortSlice.registration.kind) for change in changes)
    others = max(len(change.published) for change in changes) - slices
    yield exactly(f"{case}: PortSlices that the origin publishes", slices, "objects", 1)
    yield exactly(f"{case}: other objects that the origin publishes", others, "objects", 0)
    yield at_most(f"{case}: sent to the peer", max(c.wire_bytes for c in changes), "bytes", WIRE_BYTES_LIMIT)
    yield at_most("the largest of these PortSlices", largest_slice, "bytes", WIRE_BYTES_LIMIT)
    effects = max(change.receiver_effects for change in changes)
    yield exactly(f"{case}: changes in the receiver's Neutron", effects, "requests", 1)
    # Of its MAC address and of its IP address.
    yield exactly(f"{case}: flows of a gateway node", max(each.flows for each in rounds), "flows", 2)
    yield reported(f"{case}: written by the origin into its Kubernetes", max(c.origin_bytes for c in changes), "bytes")
    receiver_bytes = max(change.receiver_bytes for change in changes)
    yield reported(f"{case}: written by the receiver into its Kubernetes", receiver_bytes, "bytes")


_COSTS: Final[dict[str, tuple[str, float, Callable[[Round], float]]]] = {
    "sent to the peer": ("bytes", 1, lambda of: of.change.wire_bytes),
    "CPU of the origin's controller": ("ms", 1e3, lambda of: of.change.origin_seconds),
    "CPU of the receiver's controller": ("ms", 1e3, lambda of: of.change.receiver_seconds),
    "CPU of an agent": ("ms", 1e3, lambda of: of.agent_seconds),
}
"""Units, how many of them make one, and what it is of a round."""


def _ratios(few: Sequence[Round], many: Sequence[Round]) -> Iterator[Result]:
    for what, (unit, scale, of) in _COSTS.items():
        found = spread([of(m) / of(f) for f, m in zip(few, many, strict=True)])
        name = f"one port more: {what}, {MANY:,} / {FEW} ports"
        yield reported(f"one port more of {MANY:,}: {what}, median", median(map(of, many)) * scale, unit)
        yield reported(f"{name}, median", found.median, "ratio")
        yield reported(f"{name}, lowest", found.lowest, "ratio")
        yield reported(f"{name}, highest", found.highest, "ratio")
