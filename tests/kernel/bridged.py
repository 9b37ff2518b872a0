"""One side of two stretched networks with equal addresses: a real switch with our adapters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.agent.flows import FlowSets
from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.flows import Flows, FlowSet, Meter, PlannedLink, PlannedNetwork, PlannedNetworks
from isthmus.model.node.switch import PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.kernel.openvswitch import Switch, inside
from tests.testbed.host.process import wait_until

GATEWAY = "10.20.0.1"
GATEWAY_NAME = "gw"
TUNNEL_IDS = {"red": 0x100000, "blue": 0x100001}
TAGS = {"red": 5, "blue": 6}


@dataclass
class Cloud:
    """One side: its switch, our adapters, and the wanted configuration."""

    name: str
    switch: Switch
    database: OvsdbDatabase
    openflow: OvsOfctl
    ports: Ports
    networks: tuple[PlannedNetwork, ...]
    peer: str

    gateways: dict[str, PeerGateway]
    """Each peer's gateway, by its cloud ID."""
    bandwidth_mbps: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.new_agent()

    def new_agent(self) -> None:
        """Forget what is known of the flows."""
        self.flows = FlowSets(self.openflow, self.database, SystemClock())

    def plan(self, networks: tuple[PlannedNetwork, ...] | None = None) -> NodePlan:
        """A plan with these networks, or all."""
        chosen = PlannedNetworks.of(self.networks if networks is None else networks)
        gateways = {cloud_id: (gateway,) for cloud_id, gateway in self.gateways.items()}
        return NodePlan(ports=self.ports, networks=chosen, gateways=gateways, bandwidth_mbps=self.bandwidth_mbps)

    def install(self, networks: tuple[PlannedNetwork, ...] | None = None) -> None:
        """Have the flows of these networks, or of all, and forget cached ones that are as they were before.

        A slow machine can take longer to revalidate these than a test waits for a frame.
        """
        assert self.flows.ensure(self.plan(networks), self.database.view())
        self.switch.appctl("revalidator/purge")

    def sets(self) -> dict[int, Flows]:
        """The wanted flows by cookie, rendered independently of what is installed."""
        return {cookie: found.flows for cookie, found in self._rendered().items()}

    def meters(self) -> frozenset[Meter]:
        """The wanted meters."""
        return frozenset(meter for found in self._rendered().values() for meter in found.meters)

    def _rendered(self) -> Mapping[int, FlowSet]:
        view = self.database.view()
        return SetCache().sets(self.plan(), view.numbers, view.ofport)

    def key(self, network: int) -> tuple[int, int]:
        """The numbers of one of the networks and of the peer."""
        numbers = self.database.view().numbers
        return numbers.networks[self.networks[network].patch_port], numbers.members[self.peer]

    def build(self) -> None:
        self.database.ensure_bridge()
        self.database.apply(self.ports, ())
        for network, tag in TAGS.items():
            self.switch.vsctl(f"set Port {names.patch_in_integration_bridge(network)} tag={tag}")
        self.install()

    def keeps_bfd_up(self, act: Callable[[], None]) -> bool:
        """Whether BFD of the tunnel stays up while something is done.

        It is done again if not: a guest that gets no processor for a while takes its peer for gone.
        """
        (tunnel,) = self.ports.tunnels

        def flaps() -> str:
            return self.switch.vsctl(f"get Interface {tunnel.name} bfd_status:flap_count")

        for _ in range(5):
            wait_until(lambda: all(self.database.view().bfd_up.values()), 30, "BFD")
            before = flaps()
            act()
            if flaps() == before and all(self.database.view().bfd_up.values()):
                return True
        return False

    def probe(self) -> dict[str, int]:
        macs = {n.name: link.probe_mac for n in self.networks for link in n.links}
        results = inside(self.switch.netns, lambda: PacketProbe().exchange(macs, 3))
        return {link: result.received for link, result in results.items()}


def side(name: str, peer: str, addresses: tuple[str, str], directory: Path) -> Cloud:
    """A side with both networks, not configured yet; `addresses` are its own and the peer's."""
    switch = Switch(f"node-{name}", directory / name)
    tunnel = TunnelPort(names.tunnel_port(f"cloud-{peer}", GATEWAY_NAME), Vxlan(14789), TunnelEnds(*addresses))
    patches = [
        PatchPair(
            names.patch_in_integration_bridge(network),
            names.patch_in_cloud_bridge(network),
            f"00000000-0000-4000-8000-{TUNNEL_IDS[network]:012x}",
            "fa:16:3e:00:00:01",
        )
        for network in TUNNEL_IDS
    ]
    networks = tuple(
        PlannedNetwork(
            network,
            names.patch_in_cloud_bridge(network),
            name == "a",
            (GATEWAY,),
            (PlannedLink(f"cloud-{peer}", tunnel.name, tunnel_id, names.probe_mac(network, f"cloud-{peer}")),),
        )
        for network, tunnel_id in TUNNEL_IDS.items()
    )
    database = OvsdbDatabase(switch.socket, 300)
    ports = Ports(frozenset({tunnel}), frozenset(patches))
    gateways = {f"cloud-{peer}": PeerGateway(name=GATEWAY_NAME, address=tunnel.ends.remote)}
    return Cloud(name, switch, database, OvsOfctl(switch.socket), ports, networks, f"cloud-{peer}", gateways)
