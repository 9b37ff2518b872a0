"""Clouds of one gateway node each around a common network; tunnels of any kind between the first and all others."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from isthmus.adapters.clock import SystemClock
from isthmus.adapters.linux.inner import InnerDevice
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.agent.flows import FlowSets
from isthmus.core.node import credentials, ipsec
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import Authentication, CloudPeer
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.firewall import DEVICE_FAMILY, TABLE_FAMILY
from isthmus.model.node.inputs import CertificateEntries, Key, NodeInputs
from isthmus.model.node.switch import Ports
from isthmus.model.node.tunnel import EncapsulationName, ModeName, encapsulation_named
from isthmus.model.tracked import Tracked
from tests.authority import Authority
from tests.fakes.nodeobjects import published_spec
from tests.kernel.node import KEY, Node, Wire, wire_at
from tests.kernel.openvswitch import Switch, inside, ping, sh
from tests.testbed.host.process import wait_until

HUB = "a"
IPV4, IPV6 = "192.0.2.0/24", "2001:db8::/64"
Gateways = Mapping[str, Mapping[str, Any]]
"""As their clouds publish them, by the cloud's name."""
_TUNNEL_ID = 0x100000
_SECRET = "auth"


@dataclass
class Cloud:
    """A gateway node with its plan, applied by our adapters in the agent's order."""

    node: Node
    switch: Switch
    plan: NodePlan
    inputs: NodeInputs
    database: OvsdbDatabase
    openflow: OvsOfctl

    def fence(self) -> None:
        """Install both fences."""
        self.block()
        self.raise_firewall()

    def block(self) -> None:
        inside(self.node.name, lambda: NetlinkXfrm().add_blocks(self.plan.blocks))

    def raise_firewall(self) -> None:
        inside(self.node.name, lambda: Nft().replace_table(self.plan.firewall))

    def lower_firewall(self) -> None:
        inside(self.node.name, Nft().remove_table)

    def connect(self) -> None:
        """Make inner ends and load the connections, then make ports and flows."""
        inside(self.node.name, lambda: InnerDevice().ensure_ends(self.plan.inner_ends))
        for connection in self.plan.connections:
            self.node.ike.load(connection, *credentials.secrets_of(connection, self.inputs))
        self.database.ensure_bridge()
        self.database.apply(self.plan.ports, ())
        assert FlowSets(self.openflow, self.database, SystemClock()).ensure(self.plan, self.database.view())

    def start_over(self, agreed: _Agreed) -> None:
        """Have nothing of what was agreed on before, but the ports that stay the same; the node is without fences."""
        name, node = self.node.name, self.node
        node.end_charon(signal.SIGTERM)
        node.log.write_bytes(b"")
        node.remove_blocks(node.blocks())
        for family in (TABLE_FAMILY, DEVICE_FAMILY):
            inside(name, Nft(family).remove_table)
        inside(name, lambda: InnerDevice().remove_ends_except(frozenset()))
        sh("ip route flush root 240.0.0.0/4", name)
        self.inputs = _inputs(node, agreed)
        self.plan = _plan(name, self.inputs)
        unwanted = self.database.view().ports.tunnels - self.plan.ports.tunnels
        self.database.apply(Ports(), [tunnel.name for tunnel in unwanted])
        node.start_charon()

    def protected(self) -> bool:
        ike = self.node.ike.view()
        return all(ipsec.up(connection, ike) for connection in self.plan.connections)

    def bfd_up(self) -> bool:
        states = self.database.view().bfd_up
        return len(states) == len(self.plan.connections) and all(states.values())


@dataclass(frozen=True)
class Machine:
    """A machine of the hub in the network that is stretched to one peer; `far` is the address of the peer's machine."""

    netns: str
    far: str

    def ping(self, count: int, size: int = 84, fragment: bool = True) -> int:
        """The number of answers to requests of `size` bytes, including the IP header, that may be fragmented or not."""
        words = ["-M", "dont" if fragment else "do", "-s", str(size - 28), self.far]
        return ping(self.netns, count, *words)[0]

    def forget_path_mtu(self) -> None:
        """It goes with the route on which it was learned."""
        sh(
            "address=$(ip -br -4 addr show dev eth0 | awk '{print $3}')\n"
            "ip addr del $address dev eth0; ip addr add $address dev eth0",
            self.netns,
        )


@dataclass(frozen=True)
class Wan:
    """The gateways' network: a bridge to which each of them is attached by an address of its own."""

    network: str = IPV4

    def address(self, name: str, position: int) -> str:
        """Of a gateway's own interface."""
        return str(ip_network(self.network)[position])

    def published(self, name: str, position: int) -> Mapping[str, Any]:
        """What its cloud publishes of a gateway."""
        return {"name": f"gw-{name}", "address": self.address(name, position)}

    def next_hop(self, node: Node) -> str:
        """By which the hub reaches a peer's gateway, as `ip route` has it."""
        return f"inet6 {node.address}" if ":" in node.address else node.address

    def attach(self, node: Node) -> None:
        """Make the node's network namespace and its interface."""
        name, network = node.name, ip_network(self.network)
        # Else a new address of IPv6 is not used for a second, while it might be a duplicate.
        flag = "nodad" if network.version == 6 else ""
        sh(
            f"ip netns add {name} && ip link add wan-{name} type veth peer name eth0 netns {name}\n"
            f"ip link set wan-{name} master wan up && ip -n {name} link set lo up\n"
            f"ip -n {name} link set eth0 up\n"
            f"ip -n {name} addr add {node.address}/{network.prefixlen} dev eth0 {flag}"
        )

    @contextmanager
    def wire(self, nodes: tuple[Node, ...]) -> Iterator[Wire]:
        """Record frames on the hub's link from now on, outside of it."""
        with wire_at(f"wan-{HUB}", nodes) as wire:
            yield wire

    def remove(self) -> None:
        """Remove what is left when all nodes have gone."""


@dataclass(frozen=True)
class Federation:
    """The hub and its peers by name, and the hub's machines by the peer's name."""

    clouds: Mapping[str, Cloud]
    machines: Mapping[str, Machine]
    agreed: _Agreed

    @property
    def hub(self) -> Cloud:
        return self.clouds[HUB]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The hub's first."""
        return tuple(cloud.node for cloud in self.clouds.values())

    def start_over(self, mode: ModeName, authentication: Authentication) -> None:
        """Have another agreement on the same nodes; not yet connected."""
        for cloud in self.clouds.values():
            cloud.start_over(replace(self.agreed, mode=mode, authentication=authentication))
        for machine in self.machines.values():
            machine.forget_path_mtu()

    def fences(self) -> None:
        for cloud in self.clouds.values():
            cloud.fence()

    def connect(self) -> None:
        """Have SAs and BFD up between the hub and each peer, and the networks joined."""
        for cloud in reversed([*self.clouds.values()]):
            cloud.connect()
        join_networks(self.clouds.values())
        for connection in self.hub.plan.connections:
            self.hub.node.ike.initiate(connection.name)
        for cloud in self.clouds.values():
            wait_until(cloud.protected, 40, f"SAs of {cloud.node.name}")
            wait_until(cloud.bfd_up, 40, f"BFD of {cloud.node.name}")


@contextmanager
def federation(
    kinds: Mapping[str, EncapsulationName],
    directory: Path,
    mode: ModeName = "Auto",
    wan: Wan = Wan(),
    authentication: Authentication = "PSK",
) -> Iterator[Federation]:
    """A hub and one peer for each of these kinds, which are by the peer's name; not yet connected.

    All clouds authenticate themselves in the same way.
    """
    agreed = _Agreed(kinds, mode, wan, authentication, Authority("common"))
    # No port of the wire sends anything of its own: neither neighbour nor listener discovery.
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link add wan type bridge && ip link set wan up")
    clouds: dict[str, Cloud] = {}
    made: list[str] = []
    try:
        for position, name in enumerate((HUB, *kinds), 1):
            clouds[name] = _cloud(name, position, directory, agreed)
        machines = {}
        for position, peer in enumerate(kinds, 1):
            for name, other in ((HUB, peer), (peer, HUB)):
                netns = f"vm-{name}{other}"
                made.append(netns)
                address = f"10.30.{position}.{1 if name == HUB else 2}"
                clouds[name].switch.attach_port(netns, address, position)
                sh("ip link set eth0 mtu 1500", netns)
            machines[peer] = Machine(f"vm-{HUB}{peer}", f"10.30.{position}.2")
        yield Federation(clouds, machines, agreed)
    finally:
        for cloud in clouds.values():
            cloud.node.end_charon(signal.SIGKILL)
            cloud.openflow.close()
            cloud.database.close()
            cloud.switch.stop()
        for netns in (*made, *clouds):
            sh(f"ip netns del {netns}")
        wan.remove()
        sh("ip link del wan; echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6")


def join_networks(clouds: Iterable[Cloud]) -> None:
    """Put the patches on br-int into the VLANs of their networks, as Neutron does."""
    for cloud in clouds:
        for network in cloud.plan.networks:
            position = next(iter(network.links)).tunnel_id - _TUNNEL_ID
            cloud.switch.vsctl(f"set Port {names.patch_in_integration_bridge(network.name)} tag={position}")


@dataclass(frozen=True)
class _Agreed:
    """What all clouds of a federation have agreed on."""

    kinds: Mapping[str, EncapsulationName]
    mode: ModeName
    wan: Wan
    authentication: Authentication
    authority: Authority

    @property
    def gateways(self) -> Gateways:
        return {name: self.wan.published(name, position) for position, name in enumerate((HUB, *self.kinds), 1)}

    def published(self, one: str, two: str, kind: EncapsulationName) -> dict[str, Any]:
        """What one cloud publishes to another one."""
        port = next(iter(encapsulation_named(kind, None).udp_ports), None)
        gateway = {**self.gateways[one]}
        spec = published_spec(f"cloud-{one}", f"cloud-{two}", gateway, port, kind, self.mode)
        return spec | {"ipsec": spec["ipsec"] | {"authentication": self.authentication}}

    def certificates(self, name: str) -> dict[str, CertificateEntries]:
        """The Secret of a cloud, if it has any certificates."""
        if self.authentication == "PSK":
            return {}
        own = self.authority.issue(f"gw-{name}.cloud-{name}")
        return {_SECRET: CertificateEntries(own.certificate, own.private_key, self.authority.certificate, b"", "1")}


def _cloud(name: str, position: int, directory: Path, agreed: _Agreed) -> Cloud:
    node = Node(name, agreed.wan.address(name, position), directory)
    agreed.wan.attach(node)
    node.start_charon()
    switch = Switch(name, directory / name)
    inputs = _inputs(node, agreed)
    database, openflow = OvsdbDatabase(switch.socket, 300), OvsOfctl(switch.socket)
    return Cloud(node, switch, _plan(name, inputs), inputs, database, openflow)


def _plan(name: str, inputs: NodeInputs) -> NodePlan:
    plan = plan_node(inputs, inside(name, RtNetlink().view).addresses, frozenset())
    assert not plan.peer_problems
    assert not plan.connection_problems
    return plan


def _inputs(node: Node, agreed: _Agreed) -> NodeInputs:
    """What administrators and controller write for a cloud: of the hub for all peers, of these for the hub."""
    name, peers, links, attachments = node.name, [], [], {}
    for position, (spoke, kind) in enumerate(agreed.kinds.items(), 1):
        if name not in (HUB, spoke):
            continue
        other = spoke if name == HUB else HUB
        peers.append(_peer(other, agreed, kind))
        links.append(_peer_link(agreed.published(name, other, kind), agreed.published(other, name, kind)))
        attachment = _attachment(name, position, other, agreed.gateways)
        attachments[attachment.metadata.name] = attachment
    return NodeInputs(
        node=f"gw-{name}",
        cloud_id=f"cloud-{name}",
        gateway_cidrs=(str(ip_network(node.address)),),
        attachments=Tracked(attachments),
        peers=tuple(peers),
        policies=(IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": {"dpdDelaySeconds": 5}}),),
        peerlinks=tuple(links),
        keys={_SECRET: Key(KEY, "1")} if agreed.authentication == "PSK" else {},
        certificates=agreed.certificates(name),
    )


def _peer(other: str, agreed: _Agreed, kind: EncapsulationName) -> CloudPeer:
    spec = {
        "cloudID": f"cloud-{other}",
        "api": {"kubeconfigSecretRef": {"name": "unused"}},
        "gatewayCIDRs": [str(ip_network(agreed.gateways[other]["address"]))],
        "tunnel": {"encapsulation": kind},
        "ipsec": {
            "policyRef": {"name": "strong"},
            "authSecretRef": {"name": _SECRET},
            "authentication": agreed.authentication,
        },
    }
    return CloudPeer.from_wire({"metadata": {"name": f"cloud-{other}"}, "spec": spec})


def _peer_link(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> PeerLink:
    seen: dict[str, Any] = {"uid": "u", "generation": 1, "firstSeen": "2026-01-01T00:00:00Z", "spec": theirs}
    metadata = {"name": ours["cloudID"], "namespace": names.peer_namespace(theirs["cloudID"])}
    return PeerLink.from_wire({"metadata": metadata, "spec": ours, "status": {"peer": seen}})


def _attachment(name: str, position: int, other: str, gateways: Gateways) -> Attachment:
    network = f"0a9af7a5-9cbb-4d3c-8d4e-{position:012x}"
    link = {"cloudID": f"cloud-{other}", "tunnelID": _TUNNEL_ID + position, "gateway": gateways[other]}
    spec = {
        "origin": {"cloudID": f"cloud-{HUB}", "networkID": network},
        "role": "Origin" if name == HUB else "Receiver",
        "activeNode": f"gw-{name}",
        "ports": [{"node": f"gw-{name}", "portID": network, "mac": "fa:16:3e:00:00:01"}],
        "links": [link],
    }
    metadata = {"name": f"cloud-{HUB}.{network}", "namespace": names.SYSTEM_NAMESPACE}
    return Attachment.from_wire({"metadata": metadata, "spec": spec})
