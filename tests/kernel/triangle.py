"""Three clouds with agents and ESP in one guest, each of which is a peer of both others; networks of `a` reach both."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.networkexpansion import Topology
from tests.kernel.node import Node
from tests.kernel.openvswitch import Switch, sh
from tests.kernel.side import NETWORK, Side
from tests.testbed.host.process import wait_until

ADDRESSES: Final = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
HOSTS: Final = {"a": "10.20.0.11", "b": "10.20.0.12", "c": "10.20.0.13"}
NUMBERS: Final = {"b": 2, "c": 3}
_TUNNEL_IDS: Final = {"b": (0x100000, 0x100001), "c": (0x180000, 0x180001)}
"""On the tunnel to the origin, for frames to and from it, and the other receiver."""
_DIRECT_TUNNEL_ID: Final = 0x200000
_SECONDS: Final = 60
_RESYNC_SECONDS: Final = 30

Sides = dict[str, Side]


@contextmanager
def triangle(directory: Path) -> Iterator[Sides]:
    """The clouds by name, connected, each with a machine; no network is stretched yet."""
    made = Sides()
    sh("ip link add wan type bridge && ip link set wan up")
    try:
        for name, address in ADDRESSES.items():
            made[name] = _side(name, address, directory)
        for side in made.values():
            side.start()
        for side in made.values():
            for other in (other for other in made.values() if other is not side):
                side.introduce(other)
        for side in made.values():
            wait_until(lambda: _connected(side), _SECONDS, f"connections of {side.name}")  # noqa: B023
        yield made
    finally:
        for side in made.values():
            side.stop()
            side.node.end_charon(signal.SIGKILL)
            side.switch.stop()
        # A namespace, and its end of a link, may outlive its name for a moment.
        sh("for n in a b c; do ip link del wan-$n; ip netns del vm-$n; ip netns del $n; done; ip link del wan")


def _side(name: str, address: str, directory: Path) -> Side:
    sh(
        f"ip netns add {name}; ip link add wan-{name} type veth peer name eth0 netns {name}\n"
        f"ip link set wan-{name} master wan up; ip -n {name} link set lo up\n"
        f"ip -n {name} addr add {address}/24 dev eth0; ip -n {name} link set eth0 up"
    )
    node, switch = Node(name, address, directory), Switch(name, directory / name)
    node.start_charon()
    return Side(name, node, switch, switch.attach_port(f"vm-{name}", HOSTS[name], 0), _RESYNC_SECONDS)


def stretch(sides: Sides, topology: Topology = "Hybrid", network: str = NETWORK, offset: int = 0) -> None:
    """What the controllers write for a network; `offset` is added to the tunnel IDs, of which each has its own."""
    for side in sides.values():
        spec = {
            "origin": {"cloudID": "cloud-a", "networkID": network},
            "role": "Origin" if side.name == "a" else "Receiver",
            "activeNode": f"gw-{side.name}",
            "ports": [{"node": f"gw-{side.name}", "portID": network, "mac": "fa:16:3e:00:00:01"}],
            "links": _links(side, sides, offset, through_origin=topology != "Decentralized"),
            "directPaths": _direct_paths(side, sides, offset) if topology != "Centralized" else [],
        }
        metadata = {"name": names.link_name("cloud-a", network), "namespace": names.SYSTEM_NAMESPACE}
        side.controller.apply(Attachment.from_wire({"metadata": metadata, "spec": spec}))
        side.watch.wake()


def _links(side: Side, sides: Sides, offset: int, *, through_origin: bool) -> list[dict[str, Any]]:
    links = []
    for other in sorted(NUMBERS.keys() if side.name == "a" else {"a"}):
        receiver = other if side.name == "a" else side.name
        to_origin, to_third = (offset + id_ for id_ in _TUNNEL_IDS[receiver])
        (third,) = NUMBERS.keys() - {receiver}
        link = {
            "cloudID": f"cloud-{other}",
            "tunnelID": to_origin,
            "gateway": sides[other].gateway,
            "members": [{"number": NUMBERS[third], "tunnelID": to_third}] if through_origin else [],
        }
        links.append(link | ({"number": NUMBERS[other]} if side.name == "a" else {}))
    return links


def _direct_paths(side: Side, sides: Sides, offset: int) -> list[dict[str, Any]]:
    return [
        {
            "number": NUMBERS[other],
            "cloudID": f"cloud-{other}",
            "tunnelID": offset + _DIRECT_TUNNEL_ID,
            "gateway": sides[other].gateway,
        }
        for other in (NUMBERS.keys() - {side.name} if side.name != "a" else ())
    ]


def _connected(side: Side) -> bool:
    found = side.kubectl.get(GatewayNode, f"gw-{side.name}")
    return found is not None and [connection.up for connection in found.status.connections] == [True, True]
