"""The plan of a gateway node, from the objects of the cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node import ipsec
from isthmus.core.node.connections import connections
from isthmus.core.node.facts import NodeFacts
from isthmus.core.node.inner import inner_ends
from isthmus.core.node.plan import NodePlan, NodePlanner, plan_node
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import Agreement, Limits, PeerGateway
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.inputs import Key, NodeInputs
from isthmus.model.node.ipsec import EspTunnel
from isthmus.model.node.switch import BridgeView, PatchPair, Ports, TunnelPort
from isthmus.model.node.tunnel import Geneve, TunnelEnds, Vxlan
from isthmus.model.tracked import Tracked
from tests.fakes.nodeobjects import (
    ADDRESS,
    BLUE,
    NODE,
    OTHER_GATEWAY,
    OWN,
    PEER,
    PEER_GATEWAY,
    PSK,
    RED,
    attachment,
    inputs,
    link,
    peer,
    peerlink,
    replica,
)

HERE = (NodeAddress("10.0.0.5", 1500), NodeAddress(ADDRESS, 1500))


def plan(wanted: NodeInputs, foreign: frozenset[int] = frozenset()) -> NodePlan:
    return plan_node(wanted, HERE, foreign)


def test_tunnel_exists_before_any_network_is_stretched() -> None:
    result = plan(inputs())
    name = names.tunnel_port(PEER, "gw-b1")
    assert result.ports.tunnels == {TunnelPort(name, Vxlan(14789), TunnelEnds(ADDRESS, "198.51.100.11"))}
    assert [(c.name, c.ends.local_address, c.ends.remote_address) for c in result.connections] == [
        (name, ADDRESS, "198.51.100.11")
    ]
    assert result.blocks == ipsec.blocks([Vxlan(14789)]) | ipsec.icmp_unreachable_blocks(["198.51.100.11"])
    assert not result.networks
    assert [a.address for a in result.addresses] == [ADDRESS]


def test_stretched_network_has_patch_and_link() -> None:
    result = plan(inputs(attachment()))
    name = f"{OWN}.{RED}"
    assert result.ports.patches == {
        PatchPair(
            names.patch_in_integration_bridge(name),
            names.patch_in_cloud_bridge(name),
            f"1{RED[1:]}",
            "fa:16:3e:00:00:01",
        )
    }
    (network,) = result.networks
    assert network.at_origin
    assert network.gateway_addresses == ("10.20.0.1",)
    assert [(k.cloud_id, k.tunnel_port, k.tunnel_id) for k in network.links] == [
        (PEER, names.tunnel_port(PEER, "gw-b1"), 0x100000)
    ]


def test_gateways_of_replicas_reach_the_flows() -> None:
    of_peer = attachment(links=(link(0x100000) | {"gatewayAddresses": ["10.20.0.192"]},))
    spec = of_peer.spec.model_copy(update={"local_gateway_addresses": ("10.20.0.200",)})
    (network,) = plan(inputs(of_peer.model_copy(update={"spec": spec}))).networks
    assert [link.gateway_addresses for link in network.links] == [("10.20.0.192",)]
    assert network.local_gateway_addresses == ("10.20.0.200",)


def test_standby_node_has_the_patch_only() -> None:
    result = plan(inputs(attachment(active="gw-a2")))
    assert len(result.ports.patches) == 1
    assert not result.networks


def test_plan_is_empty_without_a_tunnel_address() -> None:
    result = plan_node(inputs(attachment()), HERE[:1], frozenset())
    assert result.problem is not None
    assert result.problem.reason == "NoTunnelAddress"
    assert (result.ports.tunnels, result.connections, len(result.networks)) == (frozenset(), (), 0)


@pytest.mark.parametrize(
    ("wanted", "foreign", "reason"),
    [
        (inputs(keys={}), frozenset(), "KeyNotFound"),
        (inputs(keys={"psk-b": Key(b"short", "1")}), frozenset(), "InvalidKey"),
        (inputs(peerlinks=()), frozenset(), "WaitingForPeer"),
        (inputs(peerlinks=(peerlink(remote_port=15000),)), frozenset(), "TunnelPortsDiffer"),
        (inputs(peerlinks=(peerlink(remote_port=4789, local_port=4789),)), frozenset(), "TunnelPortInUse"),
        (inputs(), frozenset({14789}), "TunnelPortInUse"),
        (inputs(peerlinks=(peerlink(encapsulation="Geneve"),)), frozenset({14789}), "TunnelPortInUse"),
        (inputs(peerlinks=(peerlink(remote_encapsulation="Geneve"),)), frozenset(), "EncapsulationsDiffer"),
        (inputs(peerlinks=(peerlink(remote_encapsulation="GRE"),)), frozenset(), "EncapsulationsDiffer"),
    ],
)
def test_peer_without_tunnel(wanted: NodeInputs, foreign: frozenset[int], reason: str) -> None:
    result = plan(wanted, foreign)
    assert result.peer_problems[PEER].reason == reason
    assert (result.ports.tunnels, result.connections, result.blocks) == (frozenset(), (), frozenset())


@pytest.mark.parametrize("installed", [False, True])
def test_a_udp_port_that_two_peers_want_for_two_kinds_is_that_of_the_peer_that_has_it(installed: bool) -> None:
    """Else of the one that sorts first: a new peer takes nothing from an old one."""
    peers = peer(), peer("cloud-c", "203.0.113.0/24")
    other = {"name": "gw-c1", "address": "203.0.113.11"}
    links = peerlink(encapsulation="Geneve"), peerlink("cloud-c", other)
    port = TunnelPort(names.tunnel_port("cloud-c", "gw-c1"), Vxlan(14789), TunnelEnds(ADDRESS, "203.0.113.11"))
    existing = Ports(frozenset({port} if installed else ()))
    result = plan_node(inputs(peers=peers, peerlinks=links), HERE, frozenset(), existing)
    refused, (kept,) = PEER if installed else "cloud-c", result.ports.tunnels
    assert kept.encapsulation == (Vxlan(14789) if installed else Geneve(14789))
    assert {cloud_id: problem.reason for cloud_id, problem in result.peer_problems.items()} == {
        refused: "TunnelPortInUse"
    }
    assert "another peer's tunnels are" in result.peer_problems[refused].message


def test_tunnel_mode_has_inner_ends_and_no_policy_that_knows_the_gateway() -> None:
    result = plan(inputs(attachment(), peerlinks=(peerlink(mode="Tunnel"),)))
    (connection,), (tunnel,) = result.connections, result.ports.tunnels
    ends = inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b")
    assert connection.protection == EspTunnel(Vxlan(14789), ends)
    assert (connection.ends.local_address, connection.ends.remote_address) == (ADDRESS, "198.51.100.11")
    assert (tunnel.ends, result.inner_ends) == (ends, frozenset({ends}))
    assert not result.link_problems, "a network's link names the gateway's own address"
    assert {str(block) for block in result.blocks if "icmp" in str(block) or "proto 1 " in str(block)} == {
        f"dir out src 0.0.0.0/0 dst {ends.remote}/32 proto 1 type 3 code 3"
    }


@pytest.mark.parametrize("mode", ["Auto", "Transport"])
def test_transport_mode_has_no_inner_ends(mode: str) -> None:
    result = plan(inputs(peerlinks=(peerlink(mode=mode),)))
    assert result == plan(inputs())
    assert result.inner_ends == frozenset()


CIDR = "198.51.100.0/24"
HIDDEN = {"name": NODE, "address": "203.0.113.1", "nat": "Behind"}
PEER_HIDDEN = PEER_GATEWAY | {"nat": "Behind"}
PEER_FORWARDED = PEER_GATEWAY | {"nat": "Forwarded", "ikePort": 4501}


@pytest.mark.parametrize(
    ("own", "theirs", "initiator", "passive", "port", "networks"),
    [
        (HIDDEN, PEER_GATEWAY, True, False, None, ()),
        (HIDDEN, PEER_FORWARDED, True, False, 4501, ("198.51.100.0/24",)),
        (None, PEER_HIDDEN, False, True, None, ("198.51.100.0/24",)),
        (None, PEER_FORWARDED, True, False, 4501, ("198.51.100.0/24",)),
        (HIDDEN | {"nat": "Forwarded"}, PEER_HIDDEN, False, True, None, ("198.51.100.0/24",)),
    ],
)
def test_behind_a_nat_there_is_tunnel_mode_and_the_hidden_gateway_opens_the_connection(
    own: dict[str, str] | None,
    theirs: dict[str, str],
    initiator: bool,
    passive: bool,
    port: int | None,
    networks: tuple[str, ...],
) -> None:
    result = plan(inputs(attachment(), peerlinks=(peerlink(gateway=theirs, mode="Auto", own_gateway=own),)))
    (found,) = result.connections
    assert found.protection == EspTunnel(Vxlan(14789), inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b"))
    assert (found.ends.local_address, found.ends.remote_address) == (ADDRESS, "198.51.100.11")
    assert (found.initiator, found.passive, found.remote_port) == (initiator, passive, port)
    assert found.remote_networks == networks
    assert not result.link_problems


@pytest.mark.parametrize(
    ("own", "theirs", "mode", "reason"),
    [
        (HIDDEN, PEER_HIDDEN, "Auto", "NobodyReachable"),
        (HIDDEN, PEER_GATEWAY, "Transport", "TransportThroughNAT"),
        (None, PEER_FORWARDED, "Transport", "TransportThroughNAT"),
    ],
)
@pytest.mark.parametrize("kind", ["VXLAN", "GRE"])
def test_a_pair_of_gateways_that_cannot_connect_is_named(
    own: dict[str, str] | None, theirs: dict[str, str], mode: str, reason: str, kind: str
) -> None:
    link_ = peerlink(gateway=theirs, mode=mode, own_gateway=own, encapsulation=kind)
    result = plan(inputs(peerlinks=(link_,)))
    assert (result.connections, result.ports.tunnels, result.peer_problems) == ((), frozenset(), {})
    (entry,) = connections(NodeFacts(result, BridgeView(True, result.ports)))
    assert (entry.reason, entry.up, entry.in_force) == (reason, False, None)
    assert "gw-b1" in entry.message


def test_only_networks_without_a_gateway_are_those_of_an_undeclared_nat() -> None:
    spare = "203.0.113.0/28"
    peers = (peer().model_copy(update={"spec": peer().spec.model_copy(update={"gateway_cidrs": (CIDR, spare)})}),)
    assert [c.remote_networks for c in plan(inputs(peers=peers)).connections] == [(spare,)]
    assert [c.remote_networks for c in plan(inputs()).connections] == [()]


@pytest.mark.parametrize("ends", [TunnelEnds(ADDRESS, "flow"), TunnelEnds("", "203.0.113.11")])
def test_a_kept_tunnel_whose_ends_are_no_addresses_does_not_concern_other_peers(ends: TunnelEnds) -> None:
    gateway = PeerGateway(name="gw-c1", address="203.0.113.11")
    tunnel = TunnelPort(names.tunnel_port("cloud-c", gateway.name), Vxlan(14789), ends)
    wanted = replace(inputs(), kept_peers={"cloud-c": (gateway,)})
    usable = replace(tunnel, ends=TunnelEnds(ADDRESS, gateway.address))
    kept = plan_node(wanted, HERE, frozenset(), Ports(frozenset({usable})))
    assert usable in kept.ports.tunnels
    result = plan_node(wanted, HERE, frozenset(), Ports(frozenset({tunnel})))
    assert result.ports.tunnels == plan(inputs()).ports.tunnels
    assert result.connections == kept.connections


def test_limit_of_a_peer_that_is_not_understood_any_more_stays() -> None:
    agreement = Agreement(limits=Limits(bandwidth_mbps=20))
    limited = peer().model_copy(update={"spec": peer().spec.model_copy(update={"agreement": agreement})})
    planner, kept = NodePlanner(), PeerGateway(name="gw-b1", address="203.0.113.11")
    assert planner.plan(inputs(peers=(limited,)), HERE, frozenset()).bandwidth_mbps == {PEER: 20}
    assert planner.plan(replace(inputs(), kept_peers={PEER: (kept,)}), HERE, frozenset()).bandwidth_mbps == {PEER: 20}
    assert planner.plan(inputs(), HERE, frozenset()).bandwidth_mbps == {}


def test_inner_ends_that_the_node_has_are_refused_for_that_connection_alone() -> None:
    peers = peer(), peer("cloud-c", "203.0.113.0/24")
    other = {"name": "gw-c1", "address": "203.0.113.11"}
    links = peerlink(mode="Tunnel"), peerlink("cloud-c", other, mode="Tunnel")
    ends = inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b")
    here = (*HERE, NodeAddress(ends.remote, 1500))
    result = plan_node(inputs(peers=peers, peerlinks=links), here, frozenset())
    name = names.tunnel_port(PEER, "gw-b1")
    assert {n: problem.reason for n, problem in result.connection_problems.items()} == {name: "InnerEndsCollide"}
    assert f"address {ends.remote} of this node" in result.connection_problems[name].message
    assert [c.name for c in result.connections] == [names.tunnel_port("cloud-c", "gw-c1")]
    assert ends not in result.inner_ends
    facts = NodeFacts(result, BridgeView(True, result.ports))
    assert [(c.cloud_id, c.reason) for c in connections(facts)] == [
        (PEER, "InnerEndsCollide"),
        ("cloud-c", "IKENotEstablished"),
    ]


@pytest.mark.parametrize("installed", [False, True])
def test_of_two_peers_with_the_same_inner_ends_the_one_with_a_tunnel_keeps_it(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    """Else the one that sorts first by the tunnel's name: a peer may choose the name of a gateway for it."""
    ends = TunnelEnds("240.0.0.2", "240.0.0.3")
    monkeypatch.setattr(ipsec, "inner_ends", lambda *_identities: ends)
    peers = peer(), peer("cloud-c", "203.0.113.0/24")
    links = (
        peerlink(mode="Tunnel"),
        peerlink("cloud-c", {"name": "gw-c1", "address": "203.0.113.11"}, mode="Tunnel"),
    )
    first, second = sorted((names.tunnel_port(PEER, "gw-b1"), names.tunnel_port("cloud-c", "gw-c1")))
    existing = Ports(frozenset({TunnelPort(second, Vxlan(14789), ends)} if installed else ()))
    result = plan_node(inputs(peers=peers, peerlinks=links), HERE, frozenset(), existing)
    kept, refused = (second, first) if installed else (first, second)
    assert [c.name for c in result.connections] == [kept]
    assert {n: p.reason for n, p in result.connection_problems.items()} == {refused: "InnerEndsCollide"}
    assert f"an end of tunnel {kept}" in result.connection_problems[refused].message
    assert result.inner_ends == frozenset({ends})


def test_second_peer_with_the_same_cloud_id_gets_no_tunnels() -> None:
    metadata = peer().metadata
    owner = peer().model_copy(update={"metadata": metadata.model_copy(update={"finalizers": (names.FINALIZER,)})})
    intruder = peer(cidr="203.0.113.0/24").model_copy(update={"metadata": metadata.model_copy(update={"name": "a"})})
    assert plan(inputs(peers=(intruder, owner))) == plan(inputs(peers=(owner,)))


def test_missing_policy_is_named() -> None:
    wanted = inputs()
    result = plan(NodeInputs(**{**wanted.__dict__, "policies": ()}))
    assert result.peer_problems[PEER].reason == "PolicyNotFound"
    assert "strong" in result.peer_problems[PEER].message


def test_gateway_outside_the_agreed_cidrs_is_ignored() -> None:
    stray = {"name": "gw-b1", "address": "203.0.113.1"}
    result = plan(inputs(attachment(links=(link(0x100000, gateway=stray),)), peerlinks=(peerlink(gateway=stray),)))
    assert result.ports.tunnels == frozenset()
    assert result.link_problems[f"{OWN}.{RED}", PEER].reason == "NoTunnel"


def test_link_to_a_wrong_gateway_address_is_ignored() -> None:
    moved = {"name": "gw-b1", "address": "198.51.100.12"}
    result = plan(inputs(attachment(links=(link(0x100000, gateway=moved),))))
    assert next(iter(result.networks)).links == ()
    assert result.link_problems[f"{OWN}.{RED}", PEER].reason == "NoTunnel"


def test_networks_with_equal_tunnel_ids_are_not_connected() -> None:
    result = plan(inputs(attachment(RED), attachment(BLUE)))
    assert [network.links for network in result.networks] == [(), ()]
    assert {p.reason for p in result.link_problems.values()} == {"TunnelIDInUse"}


def test_tunnel_id_that_is_free_again_is_used_by_the_network_that_is_left() -> None:
    planner, both = NodePlanner(), inputs(attachment(RED), attachment(BLUE))
    assert planner.plan(both, HERE, frozenset()).link_problems
    elsewhere = {f"{OWN}.{BLUE}": attachment(BLUE, active="gw-a2")}
    moved = replace(both, attachments=Tracked(both.attachments).updated(elsewhere))
    result = planner.plan(moved, HERE, frozenset())
    assert not result.link_problems
    assert [(network.name, len(network.links)) for network in result.networks] == [(f"{OWN}.{RED}", 1)]


def test_invalid_peer_does_not_affect_others() -> None:
    other = {"name": "gw-c1", "address": "203.0.113.11"}
    wanted = inputs(
        attachment(links=(link(0x100000), link(0x100001, "cloud-c", other))),
        peers=(peer(), peer("cloud-c", "203.0.113.0/24", "psk-c")),
        peerlinks=(peerlink(), peerlink("cloud-c", other)),
    )
    result = plan(wanted)
    assert result.peer_problems["cloud-c"].reason == "KeyNotFound"
    assert {t.ends.remote for t in result.ports.tunnels} == {PEER_GATEWAY["address"]}
    assert [k.cloud_id for k in next(iter(result.networks)).links] == [PEER]


def test_plan_contains_no_key_when_logged() -> None:
    wanted = inputs(attachment())
    assert PSK.decode() not in repr(wanted)
    assert PSK.decode() not in repr(plan(wanted))
    assert NODE in repr(wanted)


def _with_two_peers(*attachments: Attachment) -> NodeInputs:
    peers = peer(), peer("cloud-c", "203.0.113.0/24")
    return inputs(*attachments, peers=peers, peerlinks=(peerlink(), peerlink("cloud-c", OTHER_GATEWAY)))


def test_receiver_with_two_paths_is_one_member() -> None:
    (network,) = plan(_with_two_peers(replica(RED))).networks
    assert [(k.path, k.member, k.peer) for k in network.links] == [
        (PEER, PEER, PEER),
        (f"{PEER}/3", f"{PEER}/3", PEER),
        (f"{PEER}/3@cloud-c", f"{PEER}/3", "cloud-c"),
    ]
    assert len({k.probe_mac for k in network.links}) == 3
    assert {k.number_on_node({PEER: 1, "cloud-c": 2}) for k in network.links[1:]} == {0xFE03}


def test_problem_of_one_path_leaves_the_other_alone() -> None:
    stray = {"name": "gw-c1", "address": "203.0.113.99"}
    result = plan(_with_two_peers(replica(RED, gateway=stray)))
    name = f"{OWN}.{RED}"
    assert {key: p.reason for key, p in result.link_problems.items()} == {(name, f"{PEER}/3@cloud-c"): "NoTunnel"}
    assert [k.path for network in result.networks for k in network.links] == [PEER, f"{PEER}/3"]


def test_tunnel_id_of_two_direct_paths_carries_neither() -> None:
    result = plan(_with_two_peers(replica(RED), replica(BLUE)))
    problems = {(f"{OWN}.{network}", f"{PEER}/3@cloud-c"): "TunnelIDInUse" for network in (RED, BLUE)}
    assert {key: p.reason for key, p in result.link_problems.items()} == problems
    assert {k.path for network in result.networks for k in network.links} == {PEER, f"{PEER}/3"}
    apart = plan(_with_two_peers(replica(RED), replica(BLUE, 0x180002)))
    assert not apart.link_problems


def test_origin_has_no_direct_paths() -> None:
    held = replica(RED)
    spec = held.spec.model_copy(update={"role": "Origin", "direct_paths": held.spec.direct_paths})
    (network,) = plan(_with_two_peers(held.model_copy(update={"spec": spec}))).networks
    assert [k.path for k in network.links] == [PEER]
