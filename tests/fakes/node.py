"""A gateway node in memory: its kernel's policies, its charon, its switch, and the peer's echo.

Every change is checked against the one rule that must hold at any moment: a tunnel port stands only behind the blocks
of its UDP port, and a connection only behind that of its gateway's address.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from isthmus.core import ipsec
from isthmus.model.errors import Unavailable
from isthmus.model.names import PROBE_PORT
from isthmus.model.nodestate import (
    IKE_CHILDREN,
    BlockPolicy,
    BridgeView,
    EchoResult,
    FlowTable,
    FlowView,
    IkeConnection,
    IkeState,
    IkeView,
    NodeAddress,
    NodeView,
    Ports,
    SecurityAssociation,
    XfrmView,
)


@dataclass
class FakeNode:
    """What is on the node; the ports below look at it and change it."""

    address: NodeAddress | None = field(default_factory=lambda: NodeAddress("192.0.2.11", 1500))
    foreign_udp_ports: frozenset[int] = frozenset()
    blocks: frozenset[BlockPolicy] = frozenset()
    associations: frozenset[SecurityAssociation] = frozenset()
    bridge_exists: bool = False
    ports: Ports = field(default_factory=Ports)
    leftovers: frozenset[str] = frozenset()
    ofport: dict[str, int] = field(default_factory=dict)
    flows: FlowTable | None = None
    switch_instance: int = 1
    charon_instance: int = 1
    charon_answers: bool = True
    loaded: dict[str, IkeConnection] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    established: set[str] = field(default_factory=set)
    superseded: set[str] = field(default_factory=set)
    peer_answers: bool = True
    effects: list[str] = field(default_factory=list)
    """Every change, in order."""

    def restart_charon(self) -> None:
        """A new one has forgotten everything; the kernel keeps its states."""
        self.charon_instance += 1
        self.loaded, self.established = {}, set()

    def restart_switch(self) -> None:
        """A new one has no flows; the database keeps the ports."""
        self.switch_instance += 1
        self.flows = None

    def changed(self, effect: str) -> None:
        """Note a change and check the rule."""
        self.effects.append(effect)
        needed = ipsec.blocks(tunnel.udp_port for tunnel in self.ports.tunnels)
        needed |= ipsec.refusal_blocks(connection.remote_address for connection in self.loaded.values())
        assert needed <= self.blocks, f"without its blocks after {effect}"

    def number_ports(self) -> None:
        """Port numbers as Open vSwitch gives them: each new port a new one, kept for as long as it is there."""
        names = {name for p in self.ports.patches for name in (p.cloud_name, p.integration_name)}
        names |= {t.name for t in self.ports.tunnels} | ({PROBE_PORT} if self.bridge_exists else set())
        self.ofport = {name: number for name, number in self.ofport.items() if name in names}
        for name in sorted(names - set(self.ofport)):
            self.ofport[name] = max(self.ofport.values(), default=0) + 1


class FakeNetlink:
    """ports.Netlink."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> NodeView:
        return NodeView((self._node.address,) if self._node.address else (), kernel="6.12.0")


class FakeXfrm:
    """ports.Xfrm."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self, addresses: frozenset[str]) -> XfrmView:
        return XfrmView(self._node.blocks, self._node.associations)

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        self._node.blocks |= frozenset(blocks)
        self._node.changed("add_blocks")

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        self._node.blocks -= frozenset(blocks)
        self._node.changed("remove_blocks")

    def remove_associations(self, associations: Iterable[SecurityAssociation]) -> None:
        self._node.associations -= frozenset(associations)
        self._node.changed("remove_associations")


class FakeIke:
    """ports.Ike; a peer that answers establishes at once."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> IkeView:
        node = self._ask()
        states = {
            name: IkeState(True, IKE_CHILDREN, name in node.superseded, frozenset({len(name)}))
            for name in node.established
        }
        loaded = {name: connection.digest for name, connection in node.loaded.items()}
        return IkeView(str(node.charon_instance), loaded, states, "5.9.8")

    def load(self, connection: IkeConnection, key: bytes) -> None:
        node = self._ask()
        node.loaded[connection.name], node.keys[connection.name] = connection, key
        node.established.discard(connection.name)
        node.changed(f"load {connection.name}")

    def unload(self, name: str) -> None:
        node = self._ask()
        node.loaded.pop(name, None)
        node.established.discard(name)
        assert name not in {t.name for t in node.ports.tunnels}, "keys taken from under a tunnel port"
        node.changed(f"unload {name}")

    def initiate(self, name: str) -> None:
        node = self._ask()
        if node.peer_answers:
            node.established.add(name)

    def retire(self, name: str) -> None:
        self._ask().superseded.discard(name)
        self._node.changed(f"retire {name}")

    def _ask(self) -> FakeNode:
        if not self._node.charon_answers:
            raise Unavailable("charon does not answer")
        return self._node


class FakeOvsdb:
    """ports.Ovsdb."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> BridgeView:
        node = self._node
        up = {t.name: node.peer_answers and t.name in node.established for t in node.ports.tunnels}
        return BridgeView(
            node.bridge_exists,
            node.ports,
            dict(node.ofport),
            up,
            node.foreign_udp_ports,
            node.leftovers,
            hostname="host-1",
            openvswitch_version="3.1.0",
        )

    def ensure_bridge(self) -> None:
        self._node.bridge_exists = True
        self._change("ensure_bridge")

    def apply(self, add: Ports, remove_interfaces: Iterable[str]) -> None:
        gone = frozenset(remove_interfaces)
        ports = self._node.ports
        new = {t.name for t in add.tunnels} | {p.cloud_name for p in add.patches}
        self._node.ports = Ports(
            frozenset(t for t in ports.tunnels if t.name not in gone | new) | add.tunnels,
            frozenset(p for p in ports.patches if p.cloud_name not in gone | new) | add.patches,
        )
        self._node.leftovers -= gone
        self._change("apply")

    def remove_bridge(self) -> None:
        self._node.bridge_exists, self._node.flows = False, None
        self._change("remove_bridge")

    def _change(self, effect: str) -> None:
        self._node.number_ports()
        self._node.changed(effect)


class FakeOpenFlow:
    """ports.OpenFlow."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def instance(self) -> str:
        return str(self._node.switch_instance) if self._node.bridge_exists else ""

    def view(self) -> FlowView:
        table = self._node.flows
        return FlowView({table.cookie: len(table.flows)} if table else {})

    def replace(self, table: FlowTable) -> None:
        assert self._node.bridge_exists
        self._node.flows = replace(table)
        self._node.changed("replace")


class FakeEcho:
    """ports.EchoProbe; answers where the flows know the link's address."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def exchange(self, macs: Mapping[str, str], timeout_seconds: float) -> Mapping[str, EchoResult]:
        text = "\n".join(self._node.flows.flows) if self._node.flows else ""
        back = {link: self._node.peer_answers and mac in text for link, mac in macs.items()}
        return {link: EchoResult(1, int(up), 0.001 if up else None) for link, up in back.items()}
