"""A NAT that a gateway node can be put behind: a namespace between the node's cable and its cloud's WAN bridge.

    <node> ─ bridge behind-nat ─ inside [NAT] outside ─ WAN bridge ─ router

The node keeps its address and its router's, which the NAT answers ARP for: all that it notices is another network.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import Final

from tests.testbed.host import netns
from tests.testbed.node.hosting import WAN_BRIDGE, cables
from tests.testbed.node.node import Node
from tests.testbed.topology import WAN_MTU, Namespaces

_BRIDGE: Final = "behind-nat"
_PORTS: Final = "20000-30000"
_NAT_TRAVERSAL: Final = 4500


class Nat:
    """The NAT of one gateway node. It rewrites the ports of UDP, and forwards one of its own to the node."""

    def __init__(self, node: Node, namespaces: Namespaces, forwarded_port: int) -> None:
        self.node = node
        self.namespace = namespaces.nat(node.site)
        self.forwarded_port = forwarded_port
        """UDP port of its address that is forwarded to the node's port 4500."""
        self._cloud = namespaces.cloud(node.site.name)
        self.is_between = False
        """Whether the node is behind it."""

    @property
    def address(self) -> IPv4Interface:
        """Its address on the WAN."""
        return self.node.site.nat_address

    @property
    def links(self) -> str:
        """`ip -j link` of its namespace."""
        return netns.run(self.namespace, "ip", "-j", "link")

    def start(self) -> None:
        """Connect it to the WAN; the node is not behind it yet."""
        netns.create(self.namespace)
        netns.batch(
            f"link add {_BRIDGE} mtu {WAN_MTU} type bridge\n"
            f"link set {_BRIDGE} up\n"
            f"link add nat-in mtu {WAN_MTU} type veth peer name inside mtu {WAN_MTU} netns {self.namespace}\n"
            f"link set nat-in master {_BRIDGE} up\n"
            f"link add nat-out mtu {WAN_MTU} type veth peer name outside mtu {WAN_MTU} netns {self.namespace}\n"
            f"link set nat-out master {WAN_BRIDGE} up",
            self._cloud,
        )
        site = self.node.site
        netns.batch(
            f"link set inside up\nroute add {site.gateway_wan_address.ip} dev inside\n"
            f"address add {self.address} dev outside\nlink set outside up\n"
            f"route add default via {site.router_address.ip}",
            self.namespace,
        )
        proxy = ("net.ipv4.conf.inside.proxy_arp=1", "net.ipv4.neigh.inside.proxy_delay=0")
        netns.run(self.namespace, "sysctl", "-qw", "net.ipv4.ip_forward=1", *proxy)
        netns.run(self.namespace, "nft", self._rules())

    def stop(self) -> None:
        """Remove it; the node has its own place again."""
        if self.is_between:
            self.leave()
        netns.destroy(self.namespace)
        netns.batch(f"link del {_BRIDGE}", self._cloud)

    def enter(self) -> None:
        """Put the node behind it."""
        self._connect(_BRIDGE)
        self.is_between = True

    def leave(self) -> None:
        """Undo `enter`."""
        self._connect(WAN_BRIDGE)
        self.is_between = False

    def _connect(self, bridge: str) -> None:
        """The interface stays up: a guest never uses one again that was down."""
        _, cable = cables(self.node.site)
        netns.batch(f"link set {cable} nomaster\nlink set {cable} master {bridge}", self._cloud)
        for namespace in (self._cloud, self.namespace):
            netns.run(namespace, "ip", "neigh", "flush", "all")
        self.node.run("ip neigh flush dev wan0")

    def _rules(self) -> str:
        inner = self.node.site.gateway_wan_address.ip
        forward = f"udp dport {self.forwarded_port} dnat to {inner}:{_NAT_TRAVERSAL}"
        return (
            "table ip nat {\n"
            "  chain prerouting {\n    type nat hook prerouting priority dstnat;\n"
            f"    iifname outside {forward}\n  }}\n"
            "  chain postrouting {\n    type nat hook postrouting priority srcnat;\n"
            f"    oifname outside meta l4proto udp masquerade to :{_PORTS}\n"
            "    oifname outside masquerade\n  }\n"
            "}\n"
        )


@contextmanager
def nat(node: Node, namespaces: Namespaces, forwarded_port: int) -> Iterator[Nat]:
    """A NAT on the WAN for the duration of the block."""
    made = Nat(node, namespaces, forwarded_port)
    made.start()
    try:
        yield made
    finally:
        made.stop()
