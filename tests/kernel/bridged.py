"""One side of two stretched networks with equal addresses: a real switch with our adapters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.core.node import flows
from isthmus.model import names
from isthmus.model.node.flows import FlowTable, PlannedLink, PlannedNetwork
from isthmus.model.node.switch import PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.kernel.openvswitch import Switch, inside

GATEWAY = "10.20.0.1"
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

    def table(self, networks: tuple[PlannedNetwork, ...] | None = None) -> FlowTable:
        chosen = self.networks if networks is None else networks
        return flows.render(chosen, self.database.view().ofport)

    def build(self) -> None:
        self.database.ensure_bridge()
        self.database.apply(self.ports, ())
        for network, tag in TAGS.items():
            self.switch.vsctl(f"set Port {names.patch_in_integration_bridge(network)} tag={tag}")
        self.openflow.replace(self.table())

    def probe(self) -> dict[str, int]:
        macs = {n.name: link.probe_mac for n in self.networks for link in n.links}
        results = inside(self.switch.netns, lambda: PacketProbe().exchange(macs, 1))
        return {link: result.received for link, result in results.items()}


def side(name: str, peer: str, addresses: tuple[str, str], directory: Path) -> Cloud:
    """A side with both networks, not configured yet; `addresses` are its own and the peer's."""
    switch = Switch(f"node-{name}", directory / name)
    tunnel = TunnelPort(names.tunnel_port(f"cloud-{peer}", "gw"), Vxlan(14789), TunnelEnds(*addresses))
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
    return Cloud(
        name, switch, database, OvsOfctl(switch.socket), Ports(frozenset({tunnel}), frozenset(patches)), networks
    )
