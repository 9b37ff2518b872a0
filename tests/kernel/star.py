"""A network's origin `a` and any number of receivers in one guest, with the planner's flows but no agents and no ESP.

The receivers' nodes have no route to each other, but for two that may have a tunnel of their own.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.core.node.networks import NetworkPlan, plan_network
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import (
    Attachment,
    AttachmentLink,
    AttachmentSpec,
    DirectPath,
    MemberPath,
    NodePort,
)
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import NetworkIdentity
from isthmus.model.node.flows import PlannedNetwork
from isthmus.model.node.switch import Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.kernel.bridged import GATEWAY, GATEWAY_NAME, Cloud
from tests.kernel.frames import BROADCAST, frame, ipv4_udp
from tests.kernel.openvswitch import Machine, Switch, inside, sh
from tests.testbed.host.process import wait_until

NETWORK: Final = NetworkIdentity(cloud_id="cloud-a", network_id="00000000-0000-4000-8000-000000000001")
COUNT: Final = 20
_PORT: Final = NodePort(node="gw", port_id="00000000-0000-4000-8000-000000000002", mac="fa:16:3e:00:00:01")
_TAG: Final = 5
_DIRECT_TUNNEL_ID: Final = 0x200000


def number(cloud: str) -> int:
    """The cloud's number in the network; the origin's is 1."""
    return ord(cloud) - ord("a") + 1


def host(cloud: str) -> str:
    """The address of its machine."""
    return f"10.20.0.{10 + number(cloud)}"


@dataclass(frozen=True)
class Star:
    """Which clouds there are. Names have one letter."""

    receivers: str
    direct: tuple[str, str] | None = None
    """Two of the receivers, which have a tunnel of their own."""

    def tunnels(self, cloud: str) -> dict[str, TunnelPort]:
        """The tunnel ports of a cloud's gateway node, by the peer's name."""
        peers = self.receivers if cloud == "a" else "a" + self._direct_peer(cloud)
        return {peer: _tunnel(cloud, peer) for peer in peers}

    def plan(self, cloud: str, *, relaying: bool = True, direct: bool = False) -> NetworkPlan:
        """What the planner makes of the cloud's Attachment."""
        found = self.tunnels(cloud)
        spec = AttachmentSpec(
            origin=NETWORK,
            role="Origin" if cloud == "a" else "Receiver",
            active_node=_PORT.node,
            ports=(_PORT,),
            links=tuple(self._link(cloud, p, relaying) for p in (self.receivers if cloud == "a" else "a")),
            direct_paths=tuple(_direct_path(cloud, p) for p in self._direct_peer(cloud)) if direct else (),
            gateway_addresses=(GATEWAY,),
        )
        attachment = Attachment(metadata=ObjectMeta(name=NETWORK.link_name), spec=spec)
        made = plan_network(_PORT.node, attachment, {tunnel.name: tunnel for tunnel in found.values()}, lambda _: False)
        assert not made.problems
        return made

    def network(self, cloud: str, *, relaying: bool = True, direct: bool = False) -> PlannedNetwork:
        """The same, what flows are rendered from."""
        made = self.plan(cloud, relaying=relaying, direct=direct).network
        assert made is not None
        return made

    @contextmanager
    def built(self, directory: Path) -> Iterator[dict[str, Cloud]]:
        """The clouds by name, whose nodes have switches with all flows."""
        everybody = "a" + self.receivers
        sh("\n".join(f"ip netns add node-{name}; ip -n node-{name} link set lo up" for name in everybody))
        for near, far in [*(("a", receiver) for receiver in self.receivers), *filter(None, [self.direct])]:
            _connect(near, far)
        made = {name: self._cloud(name, directory) for name in everybody}
        yield made
        for cloud in made.values():
            cloud.openflow.close()
            cloud.database.close()
            cloud.switch.stop()
        sh("\n".join(f"ip netns delete node-{name}" for name in everybody))

    def _direct_peer(self, cloud: str) -> str:
        pair = self.direct or ()
        return "".join(name for name in pair if name != cloud) if cloud in pair else ""

    def _link(self, cloud: str, peer: str, relaying: bool) -> AttachmentLink:
        receiver = peer if cloud == "a" else cloud
        others = (other for other in self.receivers if other != receiver)
        paths = (MemberPath(number=number(other), tunnel_id=_tunnel_id(receiver, other)) for other in others)
        return AttachmentLink(
            cloud_id=f"cloud-{peer}",
            tunnel_id=_tunnel_id(receiver, "a"),
            gateway=_gateway(cloud, peer),
            number=number(peer) if cloud == "a" else None,
            members=tuple(paths) if relaying else (),
        )

    def _cloud(self, name: str, directory: Path) -> Cloud:
        switch, patch = Switch(f"node-{name}", directory / name), self.plan(name).patch
        assert patch is not None
        found = self.tunnels(name)
        gateways = {f"cloud-{peer}": _gateway(name, peer) for peer in found}
        ports, database = Ports(frozenset(found.values()), frozenset({patch})), OvsdbDatabase(switch.socket, 300)
        peer, networks = next(iter(gateways)), (self.network(name),)
        cloud = Cloud(name, switch, database, OvsOfctl(switch.socket), ports, networks, peer, gateways)
        database.ensure_bridge()
        database.apply(ports, ())
        switch.vsctl(f"set Port {patch.integration_name} tag={_TAG}")
        cloud.install()
        return cloud


@contextmanager
def plugged(clouds: dict[str, Cloud]) -> Iterator[dict[str, Machine]]:
    """A machine in each cloud."""
    made = {name: cloud.switch.attach_port(f"vm-{name}", host(name), _TAG) for name, cloud in clouds.items()}
    yield made
    sh("\n".join(f"ip netns delete vm-{name}" for name in made))


def numbered(sender: Machine, cloud: str, destination: str = BROADCAST) -> list[bytes]:
    """Frames of a cloud's machine, of which no two are alike."""
    datagrams = (ipv4_udp(host(cloud), "10.20.0.255", 9, 9, struct.pack("!I", n)) for n in range(COUNT))
    return [frame(destination, sender.mac, datagram) for datagram in datagrams]


def heard(received: Callable[[float], list[bytes]], sent: list[bytes]) -> Counter[bytes]:
    """How often each of these frames arrives; all are waited for, and half a second for more."""
    found = Counter[bytes]()

    def complete() -> bool:
        found.update(frame for frame in received(0.5) if frame in sent)
        return found.total() >= len(sent)

    with suppress(TimeoutError):
        wait_until(complete, 20, "the frames")
    return found


def probe(cloud: Cloud) -> dict[str, int]:
    """How many probes of each path come back, by its name."""
    macs = {link.path: link.probe_mac for link in cloud.networks[0].links}
    results = inside(cloud.switch.netns, lambda: PacketProbe().exchange(macs, 3))
    return {name: results[name].received for name in macs}


def _tunnel_id(receiver: str, other: str) -> int:
    """On the tunnel between the origin and a receiver, for frames to and from that member."""
    return number(receiver) << 16 | number(other)


def _ends(near: str, far: str) -> tuple[str, str]:
    first, second = sorted((near, far))
    subnet = f"192.0.{number(second)}" if first == "a" else "198.51.100"
    return (f"{subnet}.1", f"{subnet}.2") if near == first else (f"{subnet}.2", f"{subnet}.1")


def _tunnel(near: str, far: str) -> TunnelPort:
    return TunnelPort(names.tunnel_port(f"cloud-{far}", GATEWAY_NAME), Vxlan(14789), TunnelEnds(*_ends(near, far)))


def _gateway(near: str, far: str) -> PeerGateway:
    return PeerGateway(name=GATEWAY_NAME, address=_ends(near, far)[1])


def _direct_path(near: str, far: str) -> DirectPath:
    return DirectPath(
        number=number(far), cloud_id=f"cloud-{far}", tunnel_id=_DIRECT_TUNNEL_ID, gateway=_gateway(near, far)
    )


def _connect(near: str, far: str) -> None:
    """A cable between two nodes, and nothing else."""
    sh(f"ip link add wan-{far} netns node-{near} type veth peer name wan-{near} netns node-{far}")
    for here, there in ((near, far), (far, near)):
        sh(
            f"ip -n node-{here} addr add {_ends(here, there)[0]}/24 dev wan-{there}\n"
            f"ip -n node-{here} link set wan-{there} up"
        )
