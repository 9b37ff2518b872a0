"""Two working gateway nodes in one cloud, and a network that is stretched through one of them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.testbed.cloud import nodes
from tests.testbed.cloud.cloud import Cloud
from tests.testbed.host.process import wait_until
from tests.testbed.install.agent import Agent
from tests.testbed.install.federation import Federation, objects
from tests.testbed.install.installation import SYSTEM, Installation
from tests.testbed.node.gateway import Gateway
from tests.testbed.workload.tenant import Stretch, reachable_stretch

SENT_CIDR, BROADCAST = "10.46.0.0/24", "10.46.0.255"
RECEIVED_CIDR = "10.47.0.0/24"


class Pair:
    """Both nodes of the origin's cloud, with an agent each."""

    def __init__(self, peers: Federation, second_agent: Agent) -> None:
        self.peers = peers
        self.agents = {agent.gateway.name: agent for agent in (peers.origin.agent, second_agent)}

    @property
    def side(self) -> Installation:
        """The installation that has two nodes."""
        return self.peers.origin

    @property
    def cloud(self) -> Cloud:
        """Its cloud."""
        return self.side.cloud

    @property
    def nodes(self) -> tuple[Gateway, Gateway]:
        """First and second node."""
        return self.cloud.gateway, self.cloud.second_gateway

    def other(self, node: Gateway) -> Gateway:
        """The other node."""
        first, second = self.nodes
        return second if node is first else first

    def lease(self, node: Gateway) -> dict[str, Any]:
        """Spec of the Lease of a node's agent."""
        name = ("lease", "-n", SYSTEM, f"isthmus-agent-{node.name}")
        found: dict[str, Any] = json.loads(self.cloud.kubectl("get", *name, "-o", "json"))["spec"]
        return found

    def patches(self, node: Gateway) -> list[str]:
        """The patch ports of networks on br-cloud of a node."""
        ports = node.run(["ovs-vsctl", "--timeout=60", "list-ports", "br-cloud"], check=False).stdout.split()
        return [port for port in ports if port.startswith("isc")]


class Carried:
    """A stretched network, its own or a replica, in the cloud with two nodes; and which node carries it."""

    def __init__(self, pair: Pair, stretch: Stretch) -> None:
        self.pair = pair
        self.stretch = stretch
        self.link = stretch.federation.link_name(stretch.tenant.network_id)
        (self.network_id,) = (t.network_id for t in (stretch.tenant, stretch.remote) if t.cloud is pair.cloud)

    def attachment(self) -> dict[str, Any]:
        """Our Attachment of the network."""
        (found,) = [o for o in objects(self.pair.cloud, "attachments") if o["metadata"]["name"] == self.link]
        return found

    def active(self) -> str | None:
        """Name of the active node."""
        name: str | None = self.attachment()["spec"].get("activeNode")
        return name

    def ports(self) -> list[tuple[str, str]]:
        """ID and host of each attachment port of ours on the network."""
        ports = self.pair.cloud.openstack().network.ports(network_id=self.network_id)
        return sorted((p.id, p.binding_host_id) for p in ports if p.device_owner == "isthmus:attachment")

    def place(self) -> tuple[str | None, list[tuple[str, str]]]:
        """What changes when the network moves: active node and ports."""
        return self.active(), self.ports()

    def wait_carried_by(self, node: Gateway, timeout_seconds: float = 60) -> None:
        """Wait until the network is on this node and both machines reach each other."""
        wait_until(lambda: self.active() == node.name, timeout_seconds, f"the network to be on {node.name}", 0.3)
        self.stretch.wait_for_ping(timeout_seconds)

    def move_to(self, node: Gateway) -> None:
        """Make this node the active one: an administrator takes the label from the other one for a while."""
        other = self.pair.other(node)
        if self.active() != node.name:
            nodes.label(self.pair.cloud, other, is_gateway=False)
            try:
                self.wait_carried_by(node)
            finally:
                nodes.label(self.pair.cloud, other, is_gateway=True)
        for each in self.pair.nodes:
            self.pair.side.wait_node_ready(each)
        self.pair.peers.wait_for_peers(60)
        assert self.active() == node.name
        self.stretch.wait_for_ping(60)


@contextmanager
def two_gateways(peers: Federation) -> Iterator[Pair]:
    """A second gateway node in the origin's cloud for the duration of the block, ready, with tunnels to the peer.

    Networks do not return to the node that they prefer.
    """
    side, cloud = peers.origin, peers.origin.cloud
    with nodes.second_gateway(peers.lab.state, cloud) as second, side.controller_settings(gateway_return_seconds=0):
        agent = side.agent_on(second)
        agent.start()
        side.wait_node_ready(second)
        peers.wait_for_peers(60)
        yield Pair(peers, agent)
    absent = ("get", "gatewaynode", second.name, "--ignore-not-found", "-o", "name")
    wait_until(lambda: not cloud.kubectl(*absent), 60, f"GatewayNode {second.name} to be deleted")
    cloud.kubectl("delete", "lease", "-n", SYSTEM, f"isthmus-agent-{second.name}", "--ignore-not-found")
    there = peers.receiver.cloud
    wait_until(lambda: second.name not in connected_gateways(there), 60, f"{there.gateway.name} to leave {second.name}")


@contextmanager
def sent_network(pair: Pair) -> Iterator[Carried]:
    """A network of the cloud with two nodes, stretched to the other cloud."""
    with reachable_stretch(pair.peers, "moving", SENT_CIDR) as stretch:
        yield Carried(pair, stretch)


@contextmanager
def received_network(pair: Pair) -> Iterator[Carried]:
    """A network of the other cloud, stretched to the one with two nodes."""
    with reachable_stretch(pair.peers.reversed(), "arriving", RECEIVED_CIDR) as stretch:
        yield Carried(pair, stretch)


def connected_gateways(cloud: Cloud) -> set[str]:
    """Names of the gateways that the cloud's nodes have connections to."""
    found = objects(cloud, "gatewaynodes")
    return {connection["gateway"] for node in found for connection in node["status"].get("connections", [])}
