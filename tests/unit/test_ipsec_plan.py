"""Planned connections and block policies, and detection of stale SAs."""

from dataclasses import fields, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest

from isthmus.core.federation.agreement import Agreement
from isthmus.core.node import ipsec
from isthmus.model.api.objects import LocalReference
from isthmus.model.api.v1alpha1.cloudpeer import ApiAccess, CloudPeerSpec, PeerGateway, PeerIPsec, TunnelIDRange
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicySpec
from isthmus.model.names import tunnel_port
from isthmus.model.node.ipsec import (
    EspTransport,
    EspTunnel,
    IkeConnection,
    IkeState,
    IkeView,
    SecurityAssociation,
)
from isthmus.model.node.traffic import Selector, UdpPorts
from isthmus.model.node.tunnel import Geneve, Gre, TunnelEnds, Vxlan

AGREEMENT = Agreement(Vxlan(14789), TunnelIDRange(), ("aes256gcm16-prfsha384-ecp384",), ("aes256gcm16-ecp384",), True)
PEER = CloudPeerSpec(
    cloud_id="cloud-b",
    api=ApiAccess(kubeconfig_secret_ref=LocalReference(name="kubeconfig")),
    gateway_cidrs=("198.51.100.0/24",),
    ipsec=PeerIPsec(policy_ref=LocalReference(name="strong"), auth_secret_ref=LocalReference(name="cloud-b-key")),
)
GATEWAYS = (PeerGateway(name="gw-1", address="198.51.100.1"), PeerGateway(name="gw-2", address="198.51.100.2"))


def _connections(**changes: str) -> tuple[IkeConnection, ...]:
    return ipsec.connections(
        own_cloud_id="cloud-a",
        node=changes.get("node", "gw-a"),
        local_address="192.0.2.1",
        peer=PEER,
        policy=IPsecPolicySpec(),
        agreement=AGREEMENT,
        gateways=GATEWAYS,
        secret_version=changes.get("secret_version", "7"),
    )


def test_one_connection_per_remote_gateway() -> None:
    first, second = _connections()
    assert (first.name, second.name) == (tunnel_port("cloud-b", "gw-1"), tunnel_port("cloud-b", "gw-2"))
    assert (first.ends.local_identity, first.ends.remote_identity) == ("gw-a.cloud-a", "gw-1.cloud-b")
    assert (first.ends.local_address, second.ends.remote_address) == ("192.0.2.1", "198.51.100.2")
    assert first.initiator
    assert first.credential.secret_name == "cloud-b-key"


def test_digest_depends_on_every_field() -> None:
    connection = _connections()[0]
    others = {_changed(connection, field.name).digest for field in fields(connection)}
    assert len(others | {connection.digest}) == len(fields(connection)) + 1
    assert _connections()[0].digest == connection.digest
    assert _connections(secret_version="8")[0].digest != connection.digest


def _changed(connection: IkeConnection, field: str) -> IkeConnection:
    change: dict[str, Any] = {field: _other(getattr(connection, field))}
    return replace(connection, **change)


def _other(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int():
            return value + 1
        case None:
            return 1
        case tuple():
            return (*value, "x")
    return f"{value}x"


def test_block_policies_for_each_port_in_both_directions() -> None:
    assert {str(block) for block in ipsec.blocks([Vxlan(14789)])} == {
        "dir out src 0.0.0.0/0 dst 0.0.0.0/0 proto 17 dport 14789",
        "dir in src 0.0.0.0/0 dst 0.0.0.0/0 proto 17 dport 14789",
        "dir out src 0.0.0.0/0 dst 0.0.0.0/0 proto 17 sport 14789",
        "dir out src ::/0 dst ::/0 proto 17 dport 14789",
        "dir in src ::/0 dst ::/0 proto 17 dport 14789",
        "dir out src ::/0 dst ::/0 proto 17 sport 14789",
    }
    assert ipsec.blocks([Vxlan(14789), Vxlan(14790)]) == ipsec.blocks([Vxlan(14789)]) | ipsec.blocks([Vxlan(14790)])
    assert ipsec.blocks([Geneve(14789)]) == ipsec.blocks([Vxlan(14789)])
    assert ipsec.blocks([]) == frozenset()


def test_block_policies_of_tunnels_without_ports_name_the_remote_gateway_alone() -> None:
    assert ipsec.blocks([Gre()]) == frozenset(), "they would drop the GRE of others"
    assert {str(block) for block in ipsec.blocks_to(Gre(), ["192.0.2.9"])} == {
        "dir out src 0.0.0.0/0 dst 192.0.2.9/32 proto 47",
        "dir in src 192.0.2.9/32 dst 0.0.0.0/0 proto 47",
        "dir out src 0.0.0.0/0 dst 192.0.2.9/32 proto 1 type 3 code 2",
        "dir out src 0.0.0.0/0 dst 192.0.2.9/32 proto 1 type 3 code 3",
    }
    assert ipsec.blocks_to(Vxlan(14789), ["192.0.2.9"]) == ipsec.icmp_unreachable_blocks(["192.0.2.9"])


def test_one_child_for_tunnels_without_ports() -> None:
    connection = replace(_connections()[0], protection=EspTransport(Gre()))
    assert [(child.name, str(child.sent)) for child in connection.children] == [
        ("both", "src 192.0.2.1/32 dst 198.51.100.1/32 proto 47")
    ]


def test_icmp_unreachable_is_blocked() -> None:
    assert {str(block) for block in ipsec.icmp_unreachable_blocks(["192.0.2.9", "2001:db8::9"])} == {
        "dir out src 0.0.0.0/0 dst 192.0.2.9/32 proto 1 type 3 code 3",
        "dir out src ::/0 dst 2001:db8::9/128 proto 58 type 1 code 4",
    }


def test_selector_with_two_ip_versions_is_rejected() -> None:
    with pytest.raises(ValueError, match="IP versions"):
        Selector(IPv4Network("0.0.0.0/0"), IPv6Network("::/0"), UdpPorts())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "KeyNotFound"),
        (b"", "InvalidKey"),
        (b"x" * 31, "InvalidKey"),
        (b"x" * 31 + b"\r\n", "InvalidKey"),
        (b"x" * 32, None),
        (b"x" * 32 + b"\n", None),
        (b"\xef\xbb\xbf" + b"x" * 32, "InvalidKey"),
        (b"x" * 16 + b"\n" + b"x" * 16, "InvalidKey"),
        (b"x" * 16 + b" " + b"x" * 16, "InvalidKey"),
        (bytes(range(64)), "InvalidKey"),
    ],
)
def test_valid_and_invalid_keys(content: bytes | None, reason: str | None) -> None:
    problem = ipsec.key_problem("cloud-b-key", content)
    assert (problem.reason if problem else None) == reason
    if problem:
        assert "isthmus-ipsec/cloud-b-key" in problem.message
        assert "x" * 4 not in problem.message


def test_trailing_line_break_is_not_part_of_the_key() -> None:
    assert ipsec.pre_shared_key(b"k\r\n") == ipsec.pre_shared_key(b"k\n") == ipsec.pre_shared_key(b"k") == b"k"


CONNECTION = _connections()[0]
LIVE = SecurityAssociation("192.0.2.1", "198.51.100.1", 0x10, "esp", 1)
OLD = SecurityAssociation("198.51.100.1", "192.0.2.1", 0x20, "esp", 1)
OF_OTHERS = (
    SecurityAssociation("192.0.2.1", "203.0.113.9", 0x30, "esp", 1),
    SecurityAssociation("192.0.2.1", "198.51.100.1", 0x40, "ah", 1),
)
UP = IkeState(established=True, children_installed=frozenset({"in", "out"}), spis=frozenset({LIVE.spi}))


def _ike(state: IkeState | None, digest: str = CONNECTION.digest) -> IkeView:
    return IkeView("1", {CONNECTION.name: digest}, {} if state is None else {CONNECTION.name: state})


def test_states_unknown_to_charon_are_stale() -> None:
    existing = {LIVE, OLD, *OF_OTHERS}
    assert ipsec.stale_associations(existing, _ike(UP), [CONNECTION]) == {OLD}
    assert ipsec.stale_associations(existing, _ike(UP), []) == frozenset()


@pytest.mark.parametrize(
    "ike",
    [
        _ike(None),
        _ike(replace(UP, established=False)),
        _ike(replace(UP, children_installed=frozenset({"out"}))),
        _ike(UP, digest="another"),
        IkeView("1", {}, {CONNECTION.name: UP}),
    ],
)
def test_nothing_is_stale_before_the_connection_is_up(ike: IkeView) -> None:
    assert not ipsec.up(CONNECTION, ike)
    assert ipsec.stale_associations({OLD}, ike, [CONNECTION]) == frozenset()


def _twins() -> tuple[IkeConnection, IkeConnection]:
    """Connections to two gateways behind one public address."""
    first, second = _connections()
    one, other = TunnelEnds("240.0.0.2", "240.0.0.3"), TunnelEnds("240.0.0.4", "240.0.0.5")
    return (
        replace(first, protection=EspTunnel(Vxlan(14789), one)),
        replace(second, protection=EspTunnel(Vxlan(14789), other), ends=replace(second.ends, remote_address=SHARED)),
    )


SHARED = "198.51.100.1"


def _state_of(connection: IkeConnection, spi: int) -> SecurityAssociation:
    return SecurityAssociation("192.0.2.1", SHARED, spi, "esp", connection.children[0].reqid)


def test_states_in_tunnel_mode_are_told_apart_by_their_reqid() -> None:
    one, other = _twins()
    assert one.ends.addresses == other.ends.addresses
    loaded = {connection.name: connection.digest for connection in (one, other)}
    ike = IkeView("1", loaded, {one.name: UP})
    left = {_state_of(one, 0x50), _state_of(other, 0x60)}
    assert ipsec.stale_associations(left, ike, (one, other)) == {_state_of(one, 0x50)}
    assert ipsec.orphaned(left, ike, (one, other)) == {other.name}
    assert ipsec.orphaned({_state_of(one, 0x50)}, replace(ike, states={}), (one, other)) == {one.name}


def test_a_state_of_tunnel_mode_is_none_of_a_connection_in_transport_mode() -> None:
    one, _ = _twins()
    transport = replace(_connections()[1], ends=one.ends)
    ike = IkeView("1", {transport.name: transport.digest}, {transport.name: UP})
    assert ipsec.stale_associations({_state_of(one, 0x50), OLD}, ike, (one, transport)) == {OLD}


def test_tunnel_mode_needs_the_blocks_of_its_inner_ends() -> None:
    one = replace(_twins()[0], protection=EspTunnel(Gre(), TunnelEnds("240.0.0.2", "240.0.0.3")))
    assert one.tunnel_ends == TunnelEnds("240.0.0.2", "240.0.0.3")
    found = ipsec.blocks_of_connection(one)
    assert found > ipsec.blocks_to(Gre(), ["240.0.0.3"])
    assert {str(block) for block in found - ipsec.blocks_to(Gre(), ["240.0.0.3"])} == {
        "dir out src 0.0.0.0/0 dst 240.0.0.2/32 proto 47"
    }, "what is forwarded if the node has lost its end"
    assert [(child.mode, str(child.sent)) for child in one.children] == [
        ("tunnel", "src 240.0.0.2/32 dst 240.0.0.3/32 proto 47")
    ]
