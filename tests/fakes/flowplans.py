"""Plans of one node with many networks and peers, and their ports in Open vSwitch in memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from isthmus.agent.flows import FlowSets
from isthmus.core.node import ipsec
from isthmus.core.node.plan import NodePlan
from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.flows import PlannedLink, PlannedNetwork, PlannedNetworks
from isthmus.model.node.switch import PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.fakes.agent_harness import ManualClock
from tests.fakes.node import FakeNode
from tests.fakes.switch import FakeOpenFlow, FakeOvsdb

GATEWAY = "gw"
PEERS = ("cloud-b", "cloud-c", "cloud-d")


def network(index: int, peers: Iterable[str] = PEERS, at_origin: bool = True) -> PlannedNetwork:
    """A network that is stretched to these peers, under a tunnel ID of its own."""
    name = f"cloud-a.{index}"
    links = tuple(
        PlannedLink(peer, names.tunnel_port(peer, GATEWAY), 0x100000 + index, names.probe_mac(name, peer))
        for peer in peers
    )
    return PlannedNetwork(name, names.patch_in_cloud_bridge(name), at_origin, ("10.20.0.1",), links)


def plan(networks: Iterable[PlannedNetwork], peers: Iterable[str] = PEERS) -> NodePlan:
    """A plan with one gateway for each peer."""
    gateways = {peer: PeerGateway(name=GATEWAY, address=f"192.0.2.{n}") for n, peer in enumerate(peers, 2)}
    tunnels = {
        TunnelPort(names.tunnel_port(peer, GATEWAY), Vxlan(14789), TunnelEnds("192.0.2.1", gateway.address))
        for peer, gateway in gateways.items()
    }
    chosen = PlannedNetworks.of(networks)
    ports = Ports(frozenset(tunnels), frozenset(map(patch, chosen)))
    return NodePlan(ports=ports, networks=chosen, gateways={peer: (gateway,) for peer, gateway in gateways.items()})


def patch(of: PlannedNetwork) -> PatchPair:
    """The patch of a network."""
    return PatchPair(names.patch_in_integration_bridge(of.name), of.patch_port, of.name, "fa:16:3e:00:00:01")


class Bridge:
    """br-cloud in memory with an agent's flow sets."""

    def __init__(self) -> None:
        self.node = FakeNode(bridge_exists=True, blocks=ipsec.blocks({Vxlan(14789)}))
        self.clock = ManualClock()
        self.new_agent()

    def new_agent(self) -> None:
        self.openflow, self.ovsdb = FakeOpenFlow(self.node), FakeOvsdb(self.node)
        self.flows = FlowSets(self.openflow, self.ovsdb, self.clock)

    def have(self, wanted: NodePlan) -> None:
        """Have the ports of a plan, without those checks that are about IPsec, and its flows."""
        node = self.node
        node.ports = wanted.ports
        existing = {p.cloud_name for p in wanted.ports.patches}
        kept = {name: number for name, number in node.numbers.networks.items() if name in existing}
        node.numbers = replace(node.numbers, networks=kept)
        last = max((n for n in node.ofport.values() if n < 0xFF00), default=0)
        wanted_names = [names.PROBE_PORT, *sorted(t.name for t in wanted.ports.tunnels), *sorted(existing)]
        ofport = {name: node.ofport[name] for name in wanted_names if name in node.ofport}
        for name in wanted_names:
            if name not in ofport:
                last += 1
                ofport[name] = last
        node.ofport = ofport
        assert self.flows.ensure(wanted, self.ovsdb.view())

    def installed(self) -> dict[int, frozenset[str]]:
        return dict(self.openflow.view().flows)
