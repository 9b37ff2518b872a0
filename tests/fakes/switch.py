"""Open vSwitch of a gateway node in memory: its database, and the flows of br-cloud."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from isthmus.model.errors import Conflict, Invalid, NotFound, Unavailable
from isthmus.model.names import BRIDGE
from isthmus.model.node.flows import FlowChanges, Flows, FlowView, LinkTraffic, SetChange, Traffic
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import COOKIE_SHIFT, LEARNED_OWNER, Table
from isthmus.model.node.switch import BridgeView, Ports

from .node import FakeNode

_METER = re.compile(r"\bmeter:(\d+)")
_SENT = re.compile(rf"table={Table.OUTPUT:d},.*\breg0=(0x\w+),reg1=0,reg2=(0x\w+) ")
_RECEIVED = re.compile(rf"table={Table.MAP:d},.*\btun_id=.*:(0x\w+)->reg0,set_field:(0x\w+)->reg1,")
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
            numbers=node.numbers,
            bfd_init=node.bfd_init,
            gre_is_shared=node.has_foreign_gre,
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
        before = node.ports
        node.ports = Ports(before.tunnels | add.tunnels, before.patches | add.patches, before.echoes | add.echoes)
        self._changed("apply")

    def set_numbers(self, numbers: Numbers) -> None:
        if self._ask().bridge_exists:
            networks = {**self._node.numbers.networks, **numbers.networks}
            self._node.numbers = self._of_existing_ports(replace(numbers, networks=networks))
            self._node.changed("set_numbers")

    def _of_existing_ports(self, numbers: Numbers) -> Numbers:
        existing = {patch.cloud_name for patch in self._node.ports.patches} | self._node.leftovers
        networks = {name: number for name, number in numbers.networks.items() if name in existing}
        return replace(numbers, networks=networks)

    def remove_bridge(self) -> None:
        node = self._ask()
        if node.bridge_exists:
            node.numbers = Numbers()
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
        echoes = frozenset(e for e in node.ports.echoes if e.name not in gone)
        node.ports = Ports(tunnels, node.ports.patches - broken, echoes)
        node.numbers = self._of_existing_ports(node.numbers)

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

    def mounted_directory_is_deleted(self) -> bool:
        return self._node.run_directory_is_deleted

    def changed(self) -> frozenset[int] | None:
        found, self._node.changed_cookies = self._node.changed_cookies, set()
        return frozenset(found) if self._node.bridge_exists and found is not None else None

    def view(self) -> FlowView:
        node = self._ask()
        text = node.flow_text()
        sent = {(int(network, 16), int(member, 16)) for network, member in _SENT.findall(text)}
        received = {(int(network, 16), int(member, 16)) for network, member in _RECEIVED.findall(text)}
        flows: defaultdict[int, set[str]] = defaultdict(set)
        for cookie, flow in node.flows.values():
            flows[cookie].add(flow)
        return FlowView(
            {cookie: frozenset(found) for cookie, found in flows.items()},
            frozenset(node.meters.values()),
            traffic={
                key: LinkTraffic(node.sent.get(key, _NOTHING), node.received.get(key, _NOTHING))
                for key in sent | received
            },
            dropped=dict(node.dropped),
            over_bandwidth=dict(node.over_bandwidth),
            relayed=dict(node.relayed),
            foreign_learned=any(cookie >> COOKIE_SHIFT != LEARNED_OWNER for cookie in node.learned),
        )

    def flows_of(self, cookie: int) -> Flows:
        return frozenset(flow for found, flow in self._ask().flows.values() if found == cookie)

    def replace(self, changes: FlowChanges) -> None:
        node = self._ask()
        if node.refuses_flows is not None:
            raise node.refuses_flows
        meters = node.meters | {meter.id: meter for meter in changes.meters}
        if any(meter.id == 0 for meter in changes.meters):
            raise Invalid("no meter has ID 0")
        used = {int(m) for change in changes.sets for flow in change.add for m in _METER.findall(flow)}
        if unknown := used - meters.keys():
            raise Invalid(f"a flow uses unknown meters: {sorted(unknown)}")
        for change in changes.sets:
            self._delete(change)
        for change in changes.sets:
            for flow in change.add:
                node.put_flow(change.cookie, flow)
        if changes.delete_foreign_learned:
            node.learned = {cookie for cookie in node.learned if cookie >> COOKIE_SHIFT == LEARNED_OWNER}
        node.meters = {number: meter for number, meter in meters.items() if number not in changes.delete_meters}
        node.changed("replace")

    def _delete(self, change: SetChange) -> None:
        node = self._node
        in_tables = {
            match
            for match, (cookie, _) in (node.flows.items() if change.delete_tables else ())
            if cookie == change.cookie and any(match.startswith(f"table={table},") for table in change.delete_tables)
        }
        single = {match for match in node.flows.keys() & {*change.delete} if node.flows[match][0] == change.cookie}
        for match in in_tables | single:
            node.flow_changed(node.flows.pop(match)[0])
        for found, mask in change.forget:
            node.learned = {cookie for cookie in node.learned if cookie & mask != found & mask}

    def _ask(self) -> FakeNode:
        if not self._node.bridge_exists:
            raise Unavailable(f"there is no bridge {BRIDGE}")
        return self._node


def _interfaces(ports: Ports) -> frozenset[str]:
    patches = {name for p in ports.patches for name in (p.cloud_name, p.integration_name)}
    return frozenset(patches | {port.name for port in ports.encapsulating})
