"""The adapters of a gateway node fulfil their contracts on a real kernel, Open vSwitch and charon."""

from __future__ import annotations

import re
import signal
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.linux.xfrm import NetlinkXfrm
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.model.errors import Unsupported
from isthmus.model.names import BRIDGE, INTEGRATION_BRIDGE, NFTABLES_TABLE
from isthmus.model.node.firewall import TABLE_FAMILY
from isthmus.model.node.ipsec import IkeConnection
from isthmus.model.node.pipeline import Table
from isthmus.model.node.switch import TunnelPort
from isthmus.ports import DataplaneProbe, Firewall, Ike, OpenFlow, Ovsdb, Xfrm
from tests.contract.charon import KEY, Charon, IkeContract
from tests.contract.firewall import ONE_PEER, FirewallContract, OtherAdministrators
from tests.contract.host import ADDRESS
from tests.contract.node import ForeignSoftware, ProbeContract
from tests.contract.switch import OpenFlowContract, OvsdbContract
from tests.kernel.node import Pair
from tests.kernel.openvswitch import Switch, sh, within

NODE = "contract"
MTU = 1450


@dataclass
class RealForeignSoftware:
    """Other software on the node, represented by its usual tools."""

    switch: Switch

    def add_bridge(self) -> None:
        self.switch.vsctl(f"add-br {BRIDGE}")

    def add_tunnel_port(self, name: str, udp_port: int) -> None:
        options = f"options:remote_ip=192.0.2.9 options:dst_port={udp_port}"
        self.switch.vsctl(f"add-port {INTEGRATION_BRIDGE} {name} -- set Interface {name} type=vxlan {options}")

    def add_gre_port(self, name: str) -> None:
        self.switch.vsctl(
            f"add-port {INTEGRATION_BRIDGE} {name} -- set Interface {name} type=gre options:remote_ip=192.0.2.9"
        )

    def has_port(self, name: str) -> bool:
        return name in self.switch.vsctl(f"list-ports {INTEGRATION_BRIDGE}").split()

    def tamper(self, tunnel: TunnelPort) -> None:
        self.switch.vsctl(f"set Interface {tunnel.name} options:df_default=true")

    def put_flow(self, cookie: int, flow: str) -> None:
        self.switch.ofctl(f"add-flow {BRIDGE} 'cookie={cookie:#x},{flow}'")

    def learn(self, cookie: int) -> None:
        table, reg0 = Table.LEARNED, zlib.crc32(cookie.to_bytes(8))
        self.switch.ofctl(f"add-flow {BRIDGE} cookie={cookie:#x},table={table:d},reg0={reg0},actions=drop")

    def learned(self) -> set[int]:
        listed = self.switch.ofctl(f"dump-flows {BRIDGE} table={Table.LEARNED:d}")
        return {int(cookie, 16) for cookie in re.findall(r" cookie=(0x[0-9a-f]+)", listed)}

    def restart_switch(self) -> None:
        self.switch.restart_vswitchd()

    def undo(self) -> None:
        """Remove everything of ours and of other software."""
        self.switch.vsctl(f"--if-exists del-br {BRIDGE}")
        for name in self.switch.vsctl(f"list-ports {INTEGRATION_BRIDGE}").split():
            self.switch.vsctl(f"del-port {name}")
        sh("nft flush ruleset", NODE)


@pytest.fixture(scope="module")
def switch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Switch]:
    """A node with one address, and its Open vSwitch."""
    sh(
        f"ip netns add {NODE}; ip -n {NODE} link set lo up\n"
        f"ip -n {NODE} link add eth0 mtu {MTU} type veth peer name far\n"
        f"ip -n {NODE} addr add {ADDRESS}/24 dev eth0; ip -n {NODE} link set eth0 up; ip -n {NODE} link set far up"
    )
    switch = Switch(NODE, tmp_path_factory.mktemp("contract") / "switch")
    yield switch
    switch.stop()
    sh(f"ip netns del {NODE}")


@pytest.fixture(scope="module")
def database(switch: Switch) -> Iterator[OvsdbDatabase]:
    database = OvsdbDatabase(switch.socket, 300)
    yield database
    database.close()


@pytest.fixture
def foreign(switch: Switch) -> Iterator[ForeignSoftware]:
    foreign = RealForeignSoftware(switch)
    yield foreign
    foreign.undo()


@pytest.fixture
def ovsdb(database: OvsdbDatabase) -> Ovsdb:
    return database


@pytest.fixture
def openflow(switch: Switch) -> Iterator[OpenFlow]:
    openflow = OvsOfctl(switch.socket)
    yield openflow
    openflow.close()


@pytest.mark.usefixtures("foreign")
class TestOvsdbDatabase(OvsdbContract):
    pass


@pytest.mark.usefixtures("foreign")
class TestOvsOfctl(OpenFlowContract):
    pass


@pytest.mark.usefixtures("foreign")
class TestPacketProbe(ProbeContract):
    @pytest.fixture
    def probe(self) -> DataplaneProbe:
        return within(NODE, PacketProbe())


class RealAdministrators:
    """Changes of other software to nftables, with nft."""

    def add_table(self) -> None:
        sh("nft add table inet theirs", NODE)

    def has_table(self) -> bool:
        return "theirs" in sh("nft list tables", NODE)

    def add_accept_rule(self) -> None:
        sh(f"nft insert rule {TABLE_FAMILY} {NFTABLES_TABLE} output udp dport 14789 accept", NODE)

    def delete_tunnel_port(self, udp_port: int) -> None:
        sh(f"nft delete element {TABLE_FAMILY} {NFTABLES_TABLE} tunnel_ports '{{ {udp_port} }}'", NODE)

    def flush(self) -> None:
        sh("nft flush ruleset", NODE)


@pytest.mark.usefixtures("foreign")
class TestNft(FirewallContract):
    @pytest.fixture
    def firewall(self) -> Firewall:
        return within(NODE, Nft())

    @pytest.fixture
    def administrators(self) -> OtherAdministrators:
        return RealAdministrators()

    @pytest.mark.parametrize(
        "change",
        [
            "delete table inet isthmus",
            "flush table inet isthmus",
            "flush chain inet isthmus output",
            "delete chain inet isthmus input",
            "add table inet isthmus { flags dormant; }",
            "add chain inet isthmus output { policy drop; }",
            "add set inet isthmus more { type ipv4_addr; }",
            "add rule inet isthmus output drop comment x",
            "flush set inet isthmus remote_gateways",
        ],
    )
    def test_no_change_is_taken_for_ours(self, firewall: Firewall, change: str) -> None:
        firewall.replace_table(ONE_PEER)
        sh(f"nft '{change}'", NODE)
        assert firewall.view().ruleset != ONE_PEER

    def test_without_nft_the_error_says_so(self, firewall: Firewall, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as patch:
            patch.setenv("PATH", "/nonexistent")
            for call in (firewall.view, firewall.remove_table):
                with pytest.raises(Unsupported, match="not installed"):
                    call()


@dataclass
class RealCharon:
    """The charons of two nodes; `a` is the one under test."""

    pair: Pair

    def end(self) -> None:
        self.pair.a.end_charon(signal.SIGKILL)

    def start(self) -> None:
        self.pair.a.start_charon()

    def end_peer(self) -> None:
        self.pair.b.end_charon(signal.SIGKILL)

    def flush_kernel(self) -> None:
        sh("ip xfrm policy flush; ip xfrm state flush", "a")

    def agree(self, version: str, key: bytes = KEY) -> None:
        self.pair.b.ike.load(self.pair.connection(self.pair.b, version=version), key)


class TestVici(IkeContract):
    @pytest.fixture
    def charon(self, pair: Pair) -> Charon:
        return RealCharon(pair)

    @pytest.fixture
    def ike(self, pair: Pair) -> Ike:
        return pair.a.ike

    @pytest.fixture
    def xfrm(self, pair: Pair) -> Xfrm:
        return within(pair.a.name, NetlinkXfrm())

    @pytest.fixture
    def connection(self, pair: Pair, charon: Charon) -> IkeConnection:
        charon.agree("1")
        return pair.connection(pair.a)
