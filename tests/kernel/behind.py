"""Gateways behind real NATs: two of one cloud behind one public address, one of another behind a forwarded port.

a1, a2 ─ nat-a ─┐
             b ─ nat-b ─ wan ─ p
"""

from __future__ import annotations

import re
import signal
import socket
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.core.node.plan import NodePlan, plan_node
from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.inputs import Key, NodeInputs
from isthmus.model.tracked import Tracked
from tests.fakes.nodeobjects import published_spec
from tests.kernel.kinds import Cloud, Machine
from tests.kernel.node import KEY, Node, packets_at
from tests.kernel.openvswitch import Switch, inside, sh
from tests.testbed.wan.wire import UnprotectedFrames

NAT_A, NAT_B, PUBLIC = "198.51.100.1", "198.51.100.2", "198.51.100.3"
IKE_PORT = 4501  # of NAT_B, forwarded to b's UDP port 4500
ADDRESSES: Final = {"a1": "10.0.1.11", "a2": "10.0.1.12", "b": "10.0.2.11", "p": PUBLIC}
CLOUD_OF: Final = {"a1": "a", "a2": "a", "b": "b", "p": "p"}
Gateways = Mapping[str, Mapping[str, Any]]
GATEWAYS: Final[Gateways] = {
    "a1": {"name": "gw-a1", "address": NAT_A, "nat": "Behind"},
    "a2": {"name": "gw-a2", "address": NAT_A, "nat": "Behind"},
    "b": {"name": "gw-b", "address": NAT_B, "nat": "Forwarded", "ikePort": IKE_PORT},
    "p": {"name": "gw-p", "address": PUBLIC},
}
UNDECLARED: Final[Gateways] = {
    **GATEWAYS,
    **{name: {"name": f"gw-{name}", "address": ADDRESSES[name]} for name in ("a1", "a2")},
}
"""The NAT of cloud a is not."""
FOUND: Final[Gateways] = {**UNDECLARED, **{name: {**UNDECLARED[name], "nat": "Behind"} for name in ("a1", "a2")}}
"""It is published as charon has found it: without its address."""
PAIRS: Final = (("a1", "p"), ("a2", "p"), ("a1", "b"))
"""Each with a network of its own, numbered from 1 on."""
_TUNNEL_ID = 0x100000
_ALL: Final = {NAT_A, NAT_B, PUBLIC, *ADDRESSES.values()}
_IKE_PORTS, _NAT_PORTS = {500}, {4500, IKE_PORT}


@dataclass(frozen=True)
class Neighbourhood:
    """The nodes by name, and the first machine of each pair."""

    nodes: Mapping[str, Cloud]
    machines: Mapping[tuple[str, str], Machine]


@contextmanager
def neighbourhood(directory: Path) -> Iterator[Neighbourhood]:
    """With both NATs declared; not yet connected."""
    sh("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link add wan type bridge && ip link set wan up")
    nodes: dict[str, Cloud] = {}
    made: list[str] = []
    try:
        add_nat("nat-a", NAT_A, "10.0.1", "")
        add_nat("nat-b", NAT_B, "10.0.2", f"iifname out udp dport {IKE_PORT} dnat to {ADDRESSES['b']}:4500")
        made += ["nat-a", "nat-b"]
        masquerade("nat-a", "20000-30000")
        for name in ADDRESSES:
            nodes[name] = _cloud(name, directory)
            made.append(name)
        machines = {}
        for number, pair in enumerate(PAIRS, 1):
            for host, (node, other) in enumerate((pair, pair[::-1]), 1):
                netns = f"vm-{node}{other}"
                made.append(netns)
                nodes[node].switch.attach_port(netns, f"10.30.{number}.{host}", number)
                sh("ip link set eth0 mtu 1500", netns)
            machines[pair] = Machine(f"vm-{pair[0]}{pair[1]}", f"10.30.{number}.2")
        yield Neighbourhood(nodes, machines)
    finally:
        for cloud in nodes.values():
            cloud.node.end_charon(signal.SIGKILL)
            cloud.openflow.close()
            cloud.database.close()
            cloud.switch.stop()
        for netns in reversed(made):
            sh(f"ip netns del {netns}")
        sh("ip link del wan; echo 0 > /proc/sys/net/ipv6/conf/default/disable_ipv6")


def masquerade(nat: str, ports: str) -> None:
    """Send everything from the NAT's address, UDP from these ports."""
    sh(f"nft 'flush chain ip nat post; add rule ip nat post oifname out meta l4proto udp masquerade to :{ports}'", nat)


def rebind(nat: str, ports: str) -> None:
    """Have the NAT forget all mappings, as if it had been restarted, and choose other ports."""
    masquerade(nat, ports)
    sh("ip link set out down && ip link set out up && ip route replace default dev out", nat)


def remote_ports(cloud: Cloud) -> set[int]:
    """UDP ports of the peers that the kernel sends ESP to."""
    found = re.findall(r"espinudp sport 4500 dport ([0-9]+)", sh("ip xfrm state", cloud.node.name))
    return {int(port) for port in found}


class PublicWire:
    """Frames at a NAT's public side, counted by what they are."""

    def __init__(self, packets: socket.socket) -> None:
        self._packets = packets

    def counts(self) -> Counter[str]:
        """Of the frames since the last call: ike, esp, fragment, refusal; everything else but ARP by its description.

        A refusal is the answer to IKE or ESP on a port that a NAT does not map, or that has no charon.
        """
        found: Counter[str] = Counter()
        while True:
            try:
                found[_kind(self._packets.recv(65535, socket.MSG_DONTWAIT))] += 1
            except BlockingIOError:
                del found["arp"]
                return found

    def require_protected(self) -> Counter[str]:
        """The counts, if nothing else than IKE and ESP was seen, and refusals."""
        found = self.counts()
        if not found.keys() <= {"ike", "esp", "fragment", "refusal"}:
            raise UnprotectedFrames(f"unexpected frames at the public side: {found}")
        return found


@contextmanager
def public_wire(nat: str) -> Iterator[PublicWire]:
    with packets_at(f"wan-{nat}") as packets:
        yield PublicWire(packets)


def _kind(frame: bytes) -> str:
    if frame[12:14] == b"\x08\x06":
        return "arp"
    if frame[12:14] != b"\x08\x00":
        return f"ethertype {frame[12:14].hex()}"
    offset = struct.unpack("!H", frame[20:22])[0]
    ends = {socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])}
    if frame[23] == socket.IPPROTO_ICMP and ends <= {NAT_A, NAT_B, PUBLIC} and _is_refusal(frame[34:]):
        return "refusal"
    if frame[23] == socket.IPPROTO_UDP and offset & 0x1FFF and ends <= _ALL:
        return (
            "fragment"  # of a datagram whose first one is judged; seen with its sender's own address, though it arrives
        )
    if frame[23] != socket.IPPROTO_UDP or not ends <= {NAT_A, NAT_B, PUBLIC}:
        return f"protocol {frame[23]} between {sorted(ends)}"
    ports, payload = {*struct.unpack("!HH", frame[34:38])}, frame[42:]
    if ports & _IKE_PORTS or (ports & _NAT_PORTS and payload[:4] == bytes(4)) or payload[:1] == b"\xff":
        return "ike"
    return ("fragment" if offset & 0x2000 else "esp") if ports & _NAT_PORTS else f"UDP ports {sorted(ports)}"


def _without_ipv6(netns: str) -> str:
    """So that no device sends anything of its own."""
    return f"ip netns exec {netns} sysctl -qw net.ipv6.conf.default.disable_ipv6=1"


def _is_refusal(message: bytes) -> bool:
    """ICMP port unreachable that quotes UDP from or to a port of IKE or ESP."""
    quoted = message[8:]
    return (
        message[:2] == b"\x03\x03"
        and quoted[9] == socket.IPPROTO_UDP
        and bool({*struct.unpack("!HH", quoted[20:24])} & (_NAT_PORTS | _IKE_PORTS))
    )


def add_nat(name: str, public: str, prefix: str, forwarding: str) -> None:
    """A router between bridge `wan` and a network of its own; `forwarding` is a rule of nftables, or empty."""
    sh(
        f"ip netns add {name} && {_without_ipv6(name)} && ip -n {name} link set lo up\n"
        f"ip link add wan-{name} type veth peer name out netns {name} && ip link set wan-{name} master wan up\n"
        f"ip -n {name} addr add {public}/24 dev out && ip -n {name} link set out up\n"
        f"ip -n {name} link add lan type bridge && ip -n {name} link set lan up\n"
        f"ip -n {name} addr add {prefix}.1/24 dev lan"
    )
    sh("sysctl -qw net.ipv4.ip_forward=1", name)
    sh(
        "nft 'add table ip nat; "
        "add chain ip nat pre { type nat hook prerouting priority dstnat; }; "
        "add chain ip nat post { type nat hook postrouting priority srcnat; }; "
        f"{f'add rule ip nat pre {forwarding}; ' if forwarding else ''}"
        "add rule ip nat post oifname out masquerade'",
        name,
    )


def _cloud(name: str, directory: Path) -> Cloud:
    node = Node(name, ADDRESSES[name], directory)
    add_node(node, {"a": "nat-a", "b": "nat-b"}.get(CLOUD_OF[name]))
    node.start_charon()
    switch = Switch(name, directory / name)
    database, openflow = OvsdbDatabase(switch.socket, 300), OvsOfctl(switch.socket)
    return Cloud(node, switch, plan_of(name), _inputs(name, GATEWAYS), database, openflow)


def add_node(node: Node, router: str | None) -> None:
    """Its network namespace, behind a NAT or on bridge `wan`."""
    name = node.name
    outside = f"netns {router} name lan-{name}" if router else f"name wan-{name}"
    sh(
        f"ip netns add {name} && {_without_ipv6(name)} && ip -n {name} link set lo up\n"
        f"ip link add eth0 netns {name} type veth peer {outside}\n"
        f"ip -n {name} addr add {node.address}/24 dev eth0 && ip -n {name} link set eth0 up"
    )
    if router:
        sh(f"ip link set lan-{name} master lan up", router)
        sh(f"ip route add default via {node.address.rpartition('.')[0]}.1", name)
    else:
        sh(f"ip link set wan-{name} master wan up")


def plan_of(name: str, gateways: Gateways = GATEWAYS) -> NodePlan:
    """The plan of a node if the clouds publish these gateways."""
    plan = plan_node(_inputs(name, gateways), inside(name, RtNetlink().view).addresses, frozenset())
    assert not plan.peer_problems
    assert not plan.connection_problems
    return plan


def _inputs(name: str, gateways: Gateways) -> NodeInputs:
    """What administrators and controller of its cloud write."""
    own = CLOUD_OF[name]
    peers = [cloud for cloud in ("a", "b", "p") if cloud != own and "a" in (own, cloud)]
    attachments = {}
    for number, pair in enumerate(PAIRS, 1):
        if name in pair:
            attachment = _attachment(name, number, pair[1] if name == pair[0] else pair[0], gateways)
            attachments[attachment.metadata.name] = attachment
    return NodeInputs(
        node=f"gw-{name}",
        cloud_id=f"cloud-{own}",
        gateway_cidrs=(f"{ADDRESSES[name]}/32",),
        attachments=Tracked(attachments),
        peers=tuple(_peer(cloud, gateways) for cloud in peers),
        policies=(IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": {"dpdDelaySeconds": 5}}),),
        peerlinks=tuple(_peer_link(own, cloud, gateways) for cloud in peers),
        keys={"psk": Key(KEY, "1")},
    )


def _of(cloud: str, gateways: Gateways) -> list[Mapping[str, Any]]:
    return [gateway for name, gateway in gateways.items() if CLOUD_OF[name] == cloud]


def _peer(cloud: str, gateways: Gateways) -> CloudPeer:
    spec = {
        "cloudID": f"cloud-{cloud}",
        "api": {"kubeconfigSecretRef": {"name": "unused"}},
        "gatewayCIDRs": sorted({f"{found['address']}/32" for found in (*_of(cloud, gateways), *_of(cloud, GATEWAYS))}),
        "ipsec": {"policyRef": {"name": "strong"}, "authSecretRef": {"name": "psk"}},
    }
    return CloudPeer.from_wire({"metadata": {"name": f"cloud-{cloud}"}, "spec": spec})


def _peer_link(own: str, other: str, gateways: Gateways) -> PeerLink:
    ours, theirs = (
        published_spec(f"cloud-{one}", f"cloud-{two}", {}, mode="Auto") | {"gateways": _of(one, gateways)}
        for one, two in ((own, other), (other, own))
    )
    seen: dict[str, Any] = {"uid": "u", "generation": 1, "firstSeen": "2026-01-01T00:00:00Z", "spec": theirs}
    metadata = {"name": f"cloud-{own}", "namespace": names.peer_namespace(f"cloud-{other}")}
    return PeerLink.from_wire({"metadata": metadata, "spec": ours, "status": {"peer": seen}})


def _attachment(name: str, number: int, other: str, gateways: Gateways) -> Attachment:
    network = f"0a9af7a5-9cbb-4d3c-8d4e-{number:012x}"
    link = {"cloudID": f"cloud-{CLOUD_OF[other]}", "tunnelID": _TUNNEL_ID + number, "gateway": gateways[other]}
    spec = {
        "origin": {"cloudID": "cloud-a", "networkID": network},
        "role": "Origin" if CLOUD_OF[name] == "a" else "Receiver",
        "activeNode": f"gw-{name}",
        "ports": [{"node": f"gw-{name}", "portID": network, "mac": "fa:16:3e:00:00:01"}],
        "links": [link],
    }
    metadata = {"name": f"cloud-a.{network}", "namespace": names.SYSTEM_NAMESPACE}
    return Attachment.from_wire({"metadata": metadata, "spec": spec})
