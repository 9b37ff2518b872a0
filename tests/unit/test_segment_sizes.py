"""Which maximum segment size fits, on which devices it is set, and that it stays set."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.agent.clamping import Clamping, carried_by_interfaces, wanted_clamps
from isthmus.core.node import ipsec
from isthmus.core.node.clamping import Clamp, maximum_segment, on_paths, ruleset
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.errors import ExternalError, Unavailable, Unsupported
from isthmus.model.names import tunnel_port
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.host import KernelChange, NodeAddress
from isthmus.model.node.inforce import InForce, Nat
from isthmus.model.node.ipsec import IkeState, IkeView
from isthmus.model.node.switch import BridgeView, Ports, TunnelPort
from isthmus.model.node.tunnel import Encapsulation, Geneve, Gre, ModeName, TunnelEnds, Vxlan
from tests.fakes.firewall import FakeClampTable, FakeTunnelDevices
from tests.fakes.node import FakeNode
from tests.fakes.nodeobjects import NODE, inputs, peerlink

LOCAL = NodeAddress("192.0.2.11", 1500)
VXLAN = Clamp("vxlan_sys_14789", 1416)


def tunnel(kind: Encapsulation, remote: str = "198.51.100.11", local: str = LOCAL.address) -> TunnelPort:
    return TunnelPort(f"ist{remote}", kind, TunnelEnds(local, remote))


@pytest.fixture
def node() -> FakeNode:
    kind = Vxlan(14789)
    return FakeNode(ports=Ports(frozenset({tunnel(kind)})), blocks=ipsec.blocks([kind]))


@pytest.fixture
def clamping(node: FakeNode) -> Clamping:
    return Clamping(FakeClampTable(node), FakeTunnelDevices(node))


def test_segments_as_measured() -> None:
    assert [maximum_segment(1416, version) for version in (4, 6)] == [1376, 1356]


def wanted(
    *tunnels: TunnelPort,
    addresses: tuple[NodeAddress, ...] = (LOCAL,),
    gre_is_shared: bool = False,
    without_nat: frozenset[str] = frozenset(),
) -> set[Clamp]:
    plan = NodePlan(addresses=addresses, ports=Ports(frozenset(tunnels)), without_nat=without_nat)
    return {*wanted_clamps(plan, BridgeView(True, plan.ports, gre_is_shared=gre_is_shared))}


def test_each_device_has_the_mtu_of_its_kind() -> None:
    vxlan = (tunnel(Vxlan(14789)), tunnel(Vxlan(14789), "198.51.100.12"), tunnel(Vxlan(15000), "198.51.100.13"))
    assert wanted(*vxlan, tunnel(Geneve(16081), "198.51.100.14"), tunnel(Gre(), "198.51.100.15")) == {
        VXLAN,
        Clamp("vxlan_sys_15000", 1416),
        Clamp("genev_sys_16081", 1416),
        Clamp("gre_sys", 1424),
    }


def test_a_device_that_is_shared_is_left_alone() -> None:
    assert wanted(tunnel(Vxlan(14789)), tunnel(Gre(), "198.51.100.12"), gre_is_shared=True) == {VXLAN}


def test_of_two_addresses_the_smaller_mtu_counts_and_an_unknown_one_not() -> None:
    small, kind = NodeAddress("192.0.2.12", 1400), Vxlan(14789)
    tunnels = (tunnel(kind), tunnel(kind, "198.51.100.12", small.address), tunnel(kind, "198.51.100.13", "192.0.2.99"))
    assert wanted(*tunnels, addresses=(LOCAL, small)) == {Clamp("vxlan_sys_14789", 1316)}
    assert wanted(*tunnels, addresses=()) == set()


@pytest.mark.parametrize(("carried", "limit"), [(1316, 1316), (1416, 1416), (1500, 1416)])
def test_the_path_counts_if_it_carries_less_than_the_interface(carried: int, limit: int) -> None:
    found, other = tunnel(Vxlan(14789)), tunnel(Geneve(16081), "198.51.100.12")
    plan = NodePlan(addresses=(LOCAL,), ports=Ports(frozenset({found, other})))
    bridge = BridgeView(True, plan.ports)
    clamps = wanted_clamps(plan, bridge, {found.name: carried, "another": 1000})
    assert {clamp.device: clamp.mtu for clamp in clamps} == {"vxlan_sys_14789": limit, "genev_sys_16081": 1416}


def test_no_peer_lowers_the_segments_of_all_others_to_what_is_of_no_use() -> None:
    """It may answer to small echoes alone. Whatever the device, all of a peer's own tunnels follow their paths."""
    one, two, other = (tunnel(Vxlan(14789), f"198.51.100.1{n}") for n in (1, 2, 3))
    alone = tunnel(Geneve(16081), "198.51.100.14")
    peers = {one.name: "b", two.name: "b", other.name: "c", alone.name: "d"}
    interfaces, paths = dict.fromkeys((one, two, other, alone), 1416), {one.name: 576, alone.name: 576}
    assert on_paths(interfaces, paths, peers) == {one: 1280, two: 1416, other: 1416, alone: 576}
    del interfaces[other]
    assert on_paths(interfaces, paths, peers) == {one: 576, two: 1416, alone: 576}
    assert on_paths({one: 1200, other: 1200}, paths, peers) == {one: 1200, other: 1200}, "the interface's own"
    assert on_paths({one: 1416, other: 1416}, {one.name: 1316}, peers) == {one: 1316, other: 1416}


def test_peers_are_told_apart_by_the_gateways_of_the_plan() -> None:
    gateways = {"b": "198.51.100.11", "c": "198.51.100.12"}
    ports = frozenset(replace(tunnel(Vxlan(14789), a), name=tunnel_port(c, "gw")) for c, a in gateways.items())
    known = {cloud_id: (PeerGateway(name="gw", address=address),) for cloud_id, address in gateways.items()}
    plan = NodePlan(addresses=(LOCAL,), ports=Ports(ports), gateways=known)
    found = wanted_clamps(plan, BridgeView(True, plan.ports), {tunnel_port("b", "gw"): 576})
    assert found == {Clamp("vxlan_sys_14789", 1280)}


def test_in_tunnel_mode_a_second_ip_header_counts_and_the_address_outside() -> None:
    inside = tunnel(Vxlan(14789), "240.0.0.3", "240.0.0.2")
    plain, small = frozenset({inside.name}), NodeAddress("192.0.2.12", 1400)
    assert wanted(inside, without_nat=plain) == {Clamp("vxlan_sys_14789", 1396)}
    assert wanted(inside, addresses=(small, LOCAL), without_nat=plain) == {Clamp("vxlan_sys_14789", 1296)}
    assert wanted(tunnel(Vxlan(14789)), inside, without_nat=plain) == {Clamp("vxlan_sys_14789", 1396)}, "one device"
    assert wanted(inside, addresses=()) == set()


def test_through_a_nat_a_udp_header_counts_too() -> None:
    assert wanted(tunnel(Vxlan(14789), "240.0.0.3", "240.0.0.2")) == {Clamp("vxlan_sys_14789", 1388)}


INSIDE = tunnel(Vxlan(14789), "240.0.0.3", "240.0.0.2")


@pytest.mark.parametrize(
    ("port", "planned", "found", "mtu"),
    [
        (tunnel(Vxlan(14789)), "without", "Remote", 1408),
        (INSIDE, "without", None, 1396),
        (INSIDE, "without", "None", 1396),
        (INSIDE, "without", "Local", 1388),
        (INSIDE, "with", None, 1388),
        (INSIDE, "with", "None", 1388),
        (INSIDE, "kept", None, 1388),
        (INSIDE, "kept", "None", 1396),
        (INSIDE, "kept", "Both", 1388),
    ],
)
def test_a_nat_counts_that_is_published_or_that_charon_has_found(
    port: TunnelPort, planned: str, found: Nat | None, mtu: int
) -> None:
    """What is kept, and not planned for the moment, says nothing of NAT: charon does."""
    names = frozenset({port.name})
    plan = NodePlan(
        addresses=(LOCAL,),
        ports=Ports(frozenset({port})),
        without_nat=names if planned == "without" else frozenset(),
        kept_connections=names if planned == "kept" else frozenset(),
    )
    ike = IkeView("1", {}, {port.name: IkeState(established=True, in_force=InForce(nat=found))})
    assert carried_by_interfaces(plan, ike) == {port: mtu}
    assert wanted_clamps(plan, BridgeView(True, plan.ports), ike=ike) == {Clamp("vxlan_sys_14789", mtu)}


@pytest.mark.parametrize(
    ("mode", "nat", "mtu"),
    [
        ("Transport", None, 1416),
        ("Auto", None, 1416),
        ("Tunnel", None, 1396),
        ("Auto", "Behind", 1388),
        ("Tunnel", "Behind", 1388),
    ],
)
def test_what_is_agreed_and_published_decides(mode: ModeName, nat: str | None, mtu: int) -> None:
    own = {"name": NODE, "address": LOCAL.address} | ({"nat": nat} if nat else {})
    plan = plan_node(inputs(peerlinks=(peerlink(mode=mode, own_gateway=own),)), (LOCAL,), frozenset())
    assert wanted_clamps(plan, BridgeView(True, plan.ports)) == {Clamp("vxlan_sys_14789", mtu)}


def test_only_what_exists_is_in_the_table() -> None:
    assert ruleset([VXLAN], {}) == Ruleset()
    table = ruleset([VXLAN, Clamp("gre_sys", 1424)], {"gre_sys": 7})
    assert {(chain.name, chain.hook, chain.device) for chain in table.chains} == {
        ("gre_sys_7_in", "ingress", "gre_sys"),
        ("gre_sys_7_out", "egress", "gre_sys"),
    }
    assert {rule.chain for rule in table.rules} == {"gre_sys_7_in", "gre_sys_7_out"}


def test_a_device_that_was_made_again_has_another_table() -> None:
    """Although nft lists the same of clamps: it does not tell the device."""
    assert ruleset([VXLAN], {VXLAN.device: 7}) != ruleset([VXLAN], {VXLAN.device: 8})


def test_the_table_follows_the_device(node: FakeNode, clamping: Clamping) -> None:
    clamps = frozenset({VXLAN})
    clamping.follow(clamps)
    assert node.clamps == ruleset(clamps, {VXLAN.device: node.device_index})
    node.effects.clear()
    clamping.follow(clamps)
    clamping.follow(clamps)
    assert node.effects == []
    node.device_index += 1
    clamping.follow(clamps)
    assert node.clamps == ruleset(clamps, {VXLAN.device: node.device_index})
    node.ports = Ports()
    clamping.follow(clamps)
    assert node.clamps == Ruleset()


def test_a_table_that_others_remove_comes_back_once_it_is_noticed(node: FakeNode, clamping: Clamping) -> None:
    clamps = frozenset({VXLAN})
    clamping.follow(clamps)
    node.clamps = Ruleset()
    clamping.notice(KernelChange.HOST)
    clamping.follow(clamps)
    assert node.clamps == Ruleset(), "nobody has said that a table changed"
    clamping.notice(KernelChange.FIREWALL)
    clamping.follow(clamps)
    assert node.clamps != Ruleset()
    node.clamps = Ruleset()
    clamping.forget()
    clamping.follow(clamps)
    assert node.clamps != Ruleset()


def test_a_node_without_nftables_says_so_once(
    node: FakeNode, clamping: Clamping, caplog: pytest.LogCaptureFixture
) -> None:
    node.has_nftables = False
    for _ in range(3):
        clamping.follow(frozenset(), retry=True)
    assert not caplog.messages, "nothing is wanted"
    for _ in range(3):
        clamping.follow(frozenset({VXLAN}), retry=True)
    assert len(caplog.messages) == 1
    assert "nft is not installed on this node; large segments" in caplog.messages[0]
    node.has_nftables = True
    clamping.follow(frozenset({VXLAN}))
    assert node.clamps == Ruleset(), "not at each observation"
    clamping.follow(frozenset({VXLAN}), retry=True)
    assert node.clamps != Ruleset()


class Kept(FakeClampTable):
    """Does not remove the table, as long as `reason` says why."""

    reason: ExternalError | None = Unavailable("nft: Device or resource busy")

    def remove_table(self) -> None:
        if self.reason is not None:
            raise self.reason
        super().remove_table()


@pytest.mark.parametrize("reason", [Kept.reason, Unsupported("nft is not installed on this node")])
def test_a_table_that_is_not_removed_is_named_once_and_tried_again(
    node: FakeNode, caplog: pytest.LogCaptureFixture, reason: ExternalError
) -> None:
    table = Kept(node)
    table.reason = reason
    clamping = Clamping(table, FakeTunnelDevices(node))
    clamping.follow(frozenset({VXLAN}))
    node.ports = Ports()
    for _ in range(3):
        clamping.follow(frozenset(), retry=True)
    assert caplog.messages == [f"the nftables table on tunnel devices that are no longer ours may be left: {reason}"]
    assert node.clamps != Ruleset()
    table.reason = None
    clamping.follow(frozenset(), retry=True)
    assert node.clamps == Ruleset()


def test_what_an_earlier_agent_has_left_is_named_if_it_is_not_removed(
    node: FakeNode, clamping: Clamping, caplog: pytest.LogCaptureFixture
) -> None:
    clamping.follow(frozenset({VXLAN}))
    node.ports = Ports()
    Clamping(Kept(node), FakeTunnelDevices(node)).follow(frozenset())
    assert len(caplog.messages) == 1


def test_what_is_not_known_of_devices_changes_nothing(node: FakeNode) -> None:
    class Unknown(FakeTunnelDevices):
        def indexes(self, names: frozenset[str]) -> dict[str, int]:
            raise Unavailable("no socket")

    clamping = Clamping(FakeClampTable(node), FakeTunnelDevices(node))
    clamping.follow(frozenset({VXLAN}))
    before = node.clamps
    Clamping(FakeClampTable(node), Unknown(node)).follow(frozenset({VXLAN}))
    assert node.clamps == before
