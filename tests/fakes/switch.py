"""Open vSwitch of a gateway node in memory: its database, and the flows of br-cloud."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from isthmus.model.errors import Conflict, Invalid, NotFound, Unavailable
from isthmus.model.names import BRIDGE
from isthmus.model.node.flows import FlowTable, FlowView, Traffic
from isthmus.model.node.pipeline import Table
from isthmus.model.node.switch import BridgeView, Ports

from .node import FakeNode

_METER = re.compile(r"\bmeter:(\d+)")
_SENT = re.compile(rf"table={Table.OUTPUT:d},.*\breg0=(\d+),reg2=(\d+) ")
_RECEIVED = re.compile(rf"table={Table.MAP:d},.*\bin_port=(\d+),tun_id=0x([0-9a-f]+) ")
_NOTHING = Traffic(0, 0)


class FakeOvsdb:
    """ports.Ovsdb."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> BridgeView:
        node = self._ask()
        up = {t.name: node.peer_answers and t.name in node.negotiated for t in node.ports.tunnels}
        return BridgeView(
            node.bridge_exists,
            node.ports,
            dict(node.ofport),
            up,
            frozenset(node.foreign_tunnels.values()),
            node.leftovers,
            hostname="host-1",
            openvswitch_version="3.1.0",
        )

    def ensure_bridge(self) -> None:
        if self._ask().foreign_bridge:
            raise Conflict(f"a bridge {BRIDGE} that is not ours exists already")
        self._node.bridge_exists = True
        self._changed("ensure_bridge")

    def apply(self, add: Ports, remove_interfaces: Iterable[str]) -> None:
        node = self._ask()
        if add != Ports() and not node.bridge_exists:
            raise NotFound(f"there is no bridge {BRIDGE} on this node")
        if taken := _interfaces(add) & node.foreign_tunnels.keys():
            raise Invalid(f"the names of ports are unique: {', '.join(sorted(taken))}")
        self._take_out(frozenset(remove_interfaces) | _interfaces(add))
        node.ports = Ports(node.ports.tunnels | add.tunnels, node.ports.patches | add.patches)
        self._changed("apply")

    def remove_bridge(self) -> None:
        node = self._ask()
        if node.bridge_exists:
            node.bridge_exists = False
            self._take_out(_interfaces(node.ports) - {p.integration_name for p in node.ports.patches})
            node.restart_switch()  # a new bridge has a new management socket and no flows
            self._changed("remove_bridge")

    def _take_out(self, gone: frozenset[str]) -> None:
        """If one end of a patch is removed, the other is a leftover."""
        node = self._node
        broken = frozenset(p for p in node.ports.patches if gone & _interfaces(Ports(patches=frozenset({p}))))
        node.leftovers = (node.leftovers | _interfaces(Ports(patches=broken))) - gone
        tunnels = frozenset(t for t in node.ports.tunnels if t.name not in gone)
        node.ports = Ports(tunnels, node.ports.patches - broken)

    def _changed(self, effect: str) -> None:
        self._node.number_ports()
        self._node.changed(effect)

    def _ask(self) -> FakeNode:
        if not self._node.switch_answers:
            raise Unavailable("Open vSwitch's database does not answer")
        return self._node


class FakeOpenFlow:
    """ports.OpenFlow."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def instance(self) -> str:
        return str(self._node.switch_instance) if self._node.bridge_exists else ""

    def view(self) -> FlowView:
        node = self._ask()
        table = node.flows or FlowTable((), (), 0)
        text = "\n".join(table.flows)
        sent = [(int(network), int(tunnel)) for network, tunnel in _SENT.findall(text)]
        received = [(int(tunnel), int(tunnel_id, 16)) for tunnel, tunnel_id in _RECEIVED.findall(text)]
        return FlowView(
            node.foreign_flows | ({table.cookie: len(table.flows)} if table.flows else {}),
            {key: node.sent.get(key, _NOTHING) for key in sent},
            {key: node.received.get(key, _NOTHING) for key in received},
        )

    def replace(self, table: FlowTable) -> None:
        node = self._ask()
        used = {int(number) for flow in table.flows for number in _METER.findall(flow)}
        if unknown := used - {meter.id for meter in table.meters}:
            raise Invalid(f"a flow uses unknown meters: {sorted(unknown)}")
        node.flows = replace(table)
        node.sent, node.received = {}, {}
        node.changed("replace")

    def _ask(self) -> FakeNode:
        if not self._node.bridge_exists:
            raise Unavailable(f"there is no bridge {BRIDGE}")
        return self._node


def _interfaces(ports: Ports) -> frozenset[str]:
    patches = {name for p in ports.patches for name in (p.cloud_name, p.integration_name)}
    return frozenset(patches | {t.name for t in ports.tunnels})
