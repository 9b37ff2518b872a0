"""Clouds whose gateways are connected: who gets a frame that a machine sends, and how often.

Every gateway has the flows that the agent would render from its plan; the plans may be of different ages. A frame that
enters a tunnel leaves it at the gateway with the opposite ends, if that gateway's plan has such a tunnel. A frame that
reaches a cloud's own network is flooded there: to its machines, and to the patches of all other gateways of the cloud.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from isthmus.core.node.numbers import number
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model.names import PROBE_PORT, probe_mac
from isthmus.model.node.flows import FlowSet, LinkKey
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REQUEST_MAC
from isthmus.model.node.switch import TunnelPort

from .switch import Sent, Switch, of_sets

MAX_PASSES = 200
"""Through gateways, of one frame and its copies; more is a loop."""

_FRAME_OCTETS = 64

Break = Callable[[str], str]
"""Changes the text of a flow, to show what a defect does."""


@dataclass(frozen=True)
class Gateway:
    """A gateway node with its plan."""

    cloud: str
    name: str
    plan: NodePlan
    unplugged: frozenset[str] = frozenset()
    """Link names of networks whose attachment port Neutron does not have any more: the patch leads nowhere."""
    direct: Mapping[LinkKey, bool] = field(default_factory=dict)
    """The members with two paths that it sends to directly."""


class Network(NamedTuple):
    """One cloud's own part of a network: the cloud ID, and the network's link name."""

    cloud: str
    name: str


class Delivered(NamedTuple):
    """A frame that a gateway put onto a cloud's own network."""

    where: Network
    gateway: str
    frame: bytes


@dataclass
class Journey:
    """What became of one frame."""

    sender: Network
    frame: bytes
    delivered: list[Delivered] = field(default_factory=list)
    replies: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Frames that left by a probe port, by cloud and gateway."""
    tunnelled: Counter[str] = field(default_factory=Counter)
    """Frames that entered tunnels, by the cloud whose gateway sent them."""
    loops: bool = False

    @property
    def copies(self) -> Counter[Network]:
        """How often each network got the frame itself."""
        return Counter(one.where for one in self.delivered if one.frame == self.frame)


class Clouds:
    """Gateways with what they have learned so far."""

    def __init__(self, gateways: Iterable[Gateway], broken: Break = str) -> None:
        """Two gateways of one cloud may be active for one network at once, as in a takeover."""
        self._nodes = [_Node(gateway, broken) for gateway in gateways]
        self._by_ends = {
            (tunnel.encapsulation, tunnel.ends.local, tunnel.ends.remote): (node, tunnel)
            for node in self._nodes
            for tunnel in node.gateway.plan.ports.tunnels
        }

    def choose(self, direct: Mapping[str, Mapping[LinkKey, bool]]) -> None:
        """Each gateway, given by its name, sends to exactly these members directly from now on."""
        for node in self._nodes:
            node.choose(direct[node.gateway.name])

    def send(self, sender: Network, frame: bytes) -> Journey:
        """A machine of that cloud sends a frame into that network."""
        journey = Journey(sender, frame)
        self._carry(journey, deque(self._patches(sender, frame, None)))
        return journey

    def probe(self, gateway: str, network: str, path: str, destination: str = PROBE_REQUEST_MAC) -> Journey:
        """A gateway's prober sends a probe of one of a network's paths; its destination may make it an echo."""
        (node,) = (node for node in self._nodes if node.gateway.name == gateway)
        addresses = f"{destination}{probe_mac(network, path)}".replace(":", "")
        frame = bytes.fromhex(f"{addresses}{PROBE_ETHERTYPE:04x}").ljust(_FRAME_OCTETS, b"\0")
        journey = Journey(Network(node.gateway.cloud, network), frame)
        self._carry(journey, deque([_Entering(node, frame, node.ofport[PROBE_PORT])]))
        return journey

    def _carry(self, journey: Journey, on_the_way: deque[_Entering]) -> None:
        passes = 0
        while on_the_way:
            passes += 1
            if passes > MAX_PASSES:
                journey.loops = True
                return
            entering = on_the_way.popleft()
            for sent in entering.node.switch.receive(entering.frame, entering.port, entering.tun_id):
                on_the_way.extend(self._left(journey, entering.node, sent))

    def _left(self, journey: Journey, node: _Node, sent: Sent) -> Iterator[_Entering]:
        port = node.names[sent.port]
        if port == PROBE_PORT:
            journey.replies[node.gateway.cloud, node.gateway.name] += 1
        elif network := node.gateway.plan.networks.by_patch_port.get(port):
            if network.name not in node.gateway.unplugged:
                where = Network(node.gateway.cloud, network.name)
                journey.delivered.append(Delivered(where, node.gateway.name, sent.frame))
                yield from self._patches(where, sent.frame, node)
        else:
            journey.tunnelled[node.gateway.cloud] += 1
            yield from self._arrival(node, port, sent)

    def _patches(self, network: Network, frame: bytes, by: _Node | None) -> Iterator[_Entering]:
        """The other gateways' patches, which see what is flooded."""
        for node in self._nodes:
            planned = node.gateway.plan.networks.by_name.get(network.name)
            is_here = node is not by and node.gateway.cloud == network.cloud
            if planned is not None and is_here and network.name not in node.gateway.unplugged:
                yield _Entering(node, frame, node.ofport[planned.patch_port])

    def _arrival(self, node: _Node, port: str, sent: Sent) -> Iterator[_Entering]:
        echo = next((found for found in node.gateway.plan.ports.echoes if found.name == port), None)
        if echo is not None:
            local, remote = _ends(sent)
            there = self._by_ends.get((echo.encapsulation, remote, local))
        else:
            tunnel = node.tunnels[port]
            there = self._by_ends.get((tunnel.encapsulation, tunnel.ends.remote, tunnel.ends.local))
        if there is not None:
            other, entry = there
            yield _Entering(other, sent.frame, other.ofport[entry.name], sent.tun_id)


class _Node:
    """A gateway with its switch."""

    def __init__(self, gateway: Gateway, broken: Break) -> None:
        plan = gateway.plan
        self.gateway = gateway
        self.tunnels: dict[str, TunnelPort] = {tunnel.name: tunnel for tunnel in plan.ports.tunnels}
        first = 1 + sum(gateway.name.encode()) % 40  # numbers mean nothing outside of a node: each has others
        names = sorted((PROBE_PORT, *self.tunnels, *plan.networks.by_patch_port, *(e.name for e in plan.ports.echoes)))
        self.ofport = {name: index for index, name in enumerate(names, first)}
        self.names = {index: name for name, index in self.ofport.items()}
        self._first = first
        self._flows = {*of_sets(_rendered(plan, gateway.direct, self.ofport, first))}
        self.switch = Switch((cookie, broken(flow)) for cookie, flow in self._flows)

    def choose(self, direct: Mapping[LinkKey, bool]) -> None:
        """Change only flows that differ; these have a flow of the same match before and after."""
        flows = {*of_sets(_rendered(self.gateway.plan, direct, self.ofport, self._first))}
        assert {_place(*flow) for flow in flows} == {_place(*flow) for flow in self._flows}
        self.switch.write(flows - self._flows)
        self._flows = flows


class _Entering(NamedTuple):
    node: _Node
    frame: bytes
    port: int
    tun_id: int = 0


def _place(cookie: int, flow: str) -> tuple[int, str]:
    return cookie, flow.split(" actions=")[0]


def _rendered(plan: NodePlan, direct: Mapping[LinkKey, bool], ofport: dict[str, int], first: int) -> dict[int, FlowSet]:
    """The sets as an agent of a new br-cloud renders them, whose last numbers were these."""
    numbers = number(Numbers(last_network=first, last_member=2 * first), plan.networks.by_patch_port, plan.gateways)
    return dict(SetCache().sets(plan, numbers, ofport, direct=direct))


def _ends(sent: Sent) -> tuple[str, str]:
    """The ends that the flows have set: here, and there."""
    if sent.tun_ipv6_dst:
        return str(IPv6Address(sent.tun_ipv6_src)), str(IPv6Address(sent.tun_ipv6_dst))
    return str(IPv4Address(sent.tun_src)), str(IPv4Address(sent.tun_dst))
