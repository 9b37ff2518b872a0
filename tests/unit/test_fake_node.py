"""The gateway node in memory fulfils the contracts of its ports."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from isthmus.core.node import firewall as core
from isthmus.core.node.plan import plan_node
from isthmus.model.names import NFTABLES_TABLE
from isthmus.model.node.firewall import Rule, Ruleset
from isthmus.model.node.host import KernelChange, NodeAddress
from isthmus.model.node.ipsec import BlockPolicy, IkeConnection, SecurityAssociation
from isthmus.model.node.switch import Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds
from isthmus.ports import DataplaneProbe, Firewall, Ike, InnerNetwork, KernelMonitor, Netlink, OpenFlow, Ovsdb, Xfrm
from tests.contract.charon import KEY, Charon, IkeContract
from tests.contract.firewall import TWO_PEERS, FirewallContract, OtherAdministrators
from tests.contract.host import ADDRESS, BLOCKS, HostTools, NetlinkContract, XfrmContract
from tests.contract.inner import InnerNetworkContract
from tests.contract.monitor import MonitorContract
from tests.contract.node import ForeignSoftware, ProbeContract
from tests.contract.switch import OpenFlowContract, OvsdbContract
from tests.fakes.charon import FakeIke
from tests.fakes.firewall import FakeFirewall
from tests.fakes.node import FakeInner, FakeMonitor, FakeNetlink, FakeNode, FakeProbe, FakeXfrm
from tests.fakes.nodeobjects import ADDRESS as GATEWAY
from tests.fakes.nodeobjects import inputs
from tests.fakes.switch import FakeOpenFlow, FakeOvsdb

PLAN = plan_node(inputs(), (NodeAddress(GATEWAY, 1500),), frozenset())


@dataclass
class FakeHostTools:
    """Other programs that configure the kernel of the node in memory."""

    node: FakeNode

    def inner_exists(self) -> bool:
        return self.node.foreign_inner_device or bool(self.node.inner_ends | self.node.incomplete_inner_ends)

    def remove_inner_address(self, ends: TunnelEnds) -> None:
        self.node.inner_ends -= {ends}
        self.node.incomplete_inner_ends |= {ends}
        self.node.notify(KernelChange.HOST)

    def remove_inner_route(self, ends: TunnelEnds) -> None:
        self.remove_inner_address(ends)

    def disable_inner(self) -> None:
        for ends in self.node.inner_ends:
            self.remove_inner_address(ends)

    def take_inner_name(self) -> None:
        self.node.foreign_inner_device = True

    def add_policy(self, block: BlockPolicy) -> None:
        self.node.foreign_policies |= {block}

    def has_policy(self, block: BlockPolicy) -> bool:
        return block in self.node.foreign_policies

    def change_policy(self, block: BlockPolicy) -> None:
        self.node.outdated_blocks |= {block}
        self.node.notify(KernelChange.POLICIES)

    def add_former_block(self, block: BlockPolicy) -> None:
        self.node.blocks |= {block}
        self.node.outdated_blocks |= {block}

    def flush_policies(self) -> None:
        self.node.flush_policies()

    def add_address(self, address: str) -> None:
        self.node.notify(KernelChange.HOST)

    def add_nftables_table(self, name: str) -> None:
        if name == NFTABLES_TABLE:
            self.node.notify(KernelChange.FIREWALL)

    def flush_ruleset(self) -> None:
        self.node.notify(KernelChange.FIREWALL)

    def add_association(self, association: SecurityAssociation) -> None:
        self.node.associations |= {association}

    def add_tunnel_device(self, udp_port: int) -> None:
        self.node.kernel_udp_ports |= {udp_port}
        self.node.notify(KernelChange.HOST)


@dataclass
class FakeForeignSoftware:
    """Other software on the node in memory."""

    node: FakeNode

    def add_bridge(self) -> None:
        self.node.foreign_bridge = True

    def add_tunnel_port(self, name: str, udp_port: int) -> None:
        self.node.foreign_tunnels[name] = udp_port

    def add_gre_port(self, name: str) -> None:
        self.node.has_foreign_gre = True

    def has_port(self, name: str) -> bool:
        return name in self.node.foreign_tunnels

    def tamper(self, tunnel: TunnelPort) -> None:
        self.node.ports = Ports(self.node.ports.tunnels - {tunnel}, self.node.ports.patches)
        self.node.leftovers |= {tunnel.name}

    def put_flow(self, cookie: int, flow: str) -> None:
        self.node.put_flow(cookie, flow)

    def learn(self, cookie: int) -> None:
        self.node.learned.add(cookie)

    def learned(self) -> set[int]:
        return set(self.node.learned)

    def restart_switch(self) -> None:
        self.node.restart_switch()


@dataclass
class FakeCharon:
    """charon of the node in memory, and its peer's."""

    node: FakeNode

    def end(self) -> None:
        self.node.charon_answers = False

    def start(self) -> None:
        self.node.restart_charon()
        self.node.charon_answers = True

    def end_peer(self) -> None:
        self.node.peer_answers = False

    def flush_kernel(self) -> None:
        blocks = self.node.blocks
        self.node.flush_xfrm()
        self.node.blocks = blocks  # what the agent does before anything else

    def agree(self, version: str, key: bytes = KEY) -> None:
        self.node.peer_key = key


@pytest.fixture
def node() -> FakeNode:
    return FakeNode(address=NodeAddress(ADDRESS, 1450))


@pytest.fixture
def guarded(node: FakeNode) -> FakeNode:
    """A node with the block policies that its tunnels and connections need."""
    node.blocks = BLOCKS | PLAN.blocks
    node.firewall = core.widened(TWO_PEERS, PLAN.firewall)
    return node


@pytest.fixture
def foreign(node: FakeNode) -> ForeignSoftware:
    return FakeForeignSoftware(node)


@pytest.fixture
def tools(node: FakeNode) -> HostTools:
    return FakeHostTools(node)


class TestFakeXfrm(XfrmContract):
    @pytest.fixture
    def xfrm(self, node: FakeNode) -> Xfrm:
        return FakeXfrm(node)


class TestFakeInner(InnerNetworkContract):
    @pytest.fixture
    def inner(self, node: FakeNode) -> InnerNetwork:
        return FakeInner(node)

    @pytest.fixture
    def netlink(self, node: FakeNode) -> Netlink:
        return FakeNetlink(node)


@dataclass
class FakeAdministrators:
    """Changes of other software to nftables, in memory."""

    node: FakeNode
    table: bool = False

    def add_table(self) -> None:
        self.table = True

    def has_table(self) -> bool:
        return self.table

    def add_accept_rule(self) -> None:
        rules = self.node.firewall.rules | {Rule("output", '[{"accept":null}]')}
        self.node.firewall = replace(self.node.firewall, rules=rules)

    def delete_tunnel_port(self, udp_port: int) -> None:
        sets = frozenset(replace(s, elements=s.elements - {udp_port}) for s in self.node.firewall.sets)
        self.node.firewall = replace(self.node.firewall, sets=sets)

    def flush(self) -> None:
        self.node.firewall, self.table = Ruleset(), False


class TestFakeFirewall(FirewallContract):
    @pytest.fixture
    def firewall(self, node: FakeNode) -> Firewall:
        return FakeFirewall(node)

    @pytest.fixture
    def administrators(self, node: FakeNode) -> OtherAdministrators:
        return FakeAdministrators(node)


class TestFakeMonitor(MonitorContract):
    @pytest.fixture
    def monitor(self, node: FakeNode) -> KernelMonitor:
        return FakeMonitor(node)

    @pytest.fixture
    def xfrm(self, node: FakeNode) -> Xfrm:
        return FakeXfrm(node)


class TestFakeIke(IkeContract):
    @pytest.fixture
    def ike(self, guarded: FakeNode) -> Ike:
        return FakeIke(guarded)

    @pytest.fixture
    def xfrm(self, node: FakeNode) -> Xfrm:
        return FakeXfrm(node)

    @pytest.fixture
    def charon(self, node: FakeNode) -> Charon:
        return FakeCharon(node)

    @pytest.fixture
    def connection(self) -> IkeConnection:
        return PLAN.connections[0]


class TestFakeOvsdb(OvsdbContract):
    @pytest.fixture
    def ovsdb(self, guarded: FakeNode) -> Ovsdb:
        return FakeOvsdb(guarded)


class TestFakeOpenFlow(OpenFlowContract):
    @pytest.fixture
    def ovsdb(self, guarded: FakeNode) -> Ovsdb:
        return FakeOvsdb(guarded)

    @pytest.fixture
    def openflow(self, node: FakeNode) -> OpenFlow:
        return FakeOpenFlow(node)


class TestFakeNetlink(NetlinkContract):
    @pytest.fixture
    def netlink(self, node: FakeNode) -> Netlink:
        return FakeNetlink(node)

    @pytest.fixture
    def address(self, node: FakeNode) -> NodeAddress:
        assert node.address is not None
        return node.address


class TestFakeProbe(ProbeContract):
    @pytest.fixture
    def ovsdb(self, guarded: FakeNode) -> Ovsdb:
        return FakeOvsdb(guarded)

    @pytest.fixture
    def openflow(self, node: FakeNode) -> OpenFlow:
        return FakeOpenFlow(node)

    @pytest.fixture
    def probe(self, node: FakeNode) -> DataplaneProbe:
        return FakeProbe(node)
