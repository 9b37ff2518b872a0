"""The pipeline of br-cloud as flows in the syntax of ovs-ofctl(8), one table for each step; see docs/br-cloud.md.

A network is numbered by the OpenFlow port of its patch port, a peer by that of its tunnel port: both are unique on the
bridge. Registers hold both while a frame is in the pipeline; tunnel IDs appear only where frames enter and leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from isthmus.model.names import PROBE_PORT
from isthmus.model.node.flows import FlowTable, Meter, PlannedNetwork
from isthmus.model.node.pipeline import (
    COOKIE_SHIFT,
    LEARNED_OWNER,
    OWNER,
    PROBE_ETHERTYPE,
    PROBE_REPLY_MAC,
    PROBE_REQUEST_MAC,
    Table,
)

_LEARN_SECONDS = 300
_LEARN_LIMIT = 2048  # MAC addresses per network, so that no network can exhaust the table of another
_PROBE_PACKETS_PER_SECOND = 200  # at least; per link four, two each way, if each end probes every second


# reg0: the network's number. reg1: the side that the frame came from. reg2: the tunnel port that it leaves by.
_FROM_LOCAL = "reg1=0"
_FROM_PEER = "reg1=1"

_NEVER_CROSSES = (
    "vlan_tci=0x1000/0x1000",  # a VLAN tag would hide the protocol from these rules; Neutron's networks are untagged
    "dl_src=01:00:00:00:00:00/01:00:00:00:00:00",  # a learned group address would redirect all its frames to one peer
    "dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:00",  # spanning tree, LACP, LLDP: link-local to a bridge (IEEE 802.1Q)
    f"dl_type={PROBE_ETHERTYPE:#06x}",
    *(f"udp,tp_dst={port}" for port in (67, 68)),
    *(f"udp6,tp_dst={port}" for port in (546, 547)),
    "ip,nw_dst=169.254.169.254",
    "ip,nw_src=169.254.169.254",
    "arp,arp_tpa=169.254.169.254",
    "arp,arp_spa=169.254.169.254",
    "ipv6,ipv6_dst=fe80::a9fe:a9fe",
    "ipv6,ipv6_src=fe80::a9fe:a9fe",
    # No IPv6 subnet is stretched: its routers, their advertisements and their redirects stay in their own cloud.
    *(f"icmp6,icmp_type={type_}" for type_ in (133, 134, 137)),
    "icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::a9fe:a9fe",
    "icmp6,icmp_type=136,icmp_code=0,nd_target=fe80::a9fe:a9fe",
)


@dataclass(frozen=True)
class _Link:
    number: int
    tunnel_id: int
    probe_mac: str


@dataclass(frozen=True)
class _Network:
    number: int
    at_origin: bool
    gateway_addresses: tuple[str, ...]
    links: tuple[_Link, ...]


def render(networks: Iterable[PlannedNetwork], ofport: Mapping[str, int]) -> FlowTable:
    """All flows of br-cloud; `ofport` maps interface names to OpenFlow ports, interfaces without one are left out."""
    numbered = [_number(network, ofport) for network in networks if ofport.get(network.patch_port, 0) > 0]
    tunnels = sorted({link.number for network in numbered for link in network.links})
    flows = [*_common()]
    for tunnel in tunnels:
        flows += _peer(tunnel, ofport[PROBE_PORT])
    for network in sorted(numbered, key=lambda n: n.number):
        flows += _network(network, ofport[PROBE_PORT])
    links = Counter(link.number for network in numbered for link in network.links)
    meters = tuple(_meter(tunnel, links[tunnel]) for tunnel in tunnels)
    flows.sort(key=lambda flow: flow.split(",", 1)[0])
    return FlowTable(tuple(flows), meters, _cookie(flows, meters))


def _number(network: PlannedNetwork, ofport: Mapping[str, int]) -> _Network:
    links = [
        _Link(ofport[link.tunnel_port], link.tunnel_id, link.probe_mac)
        for link in network.links
        if ofport.get(link.tunnel_port, 0) > 0
    ]
    return _Network(
        ofport[network.patch_port],
        network.at_origin,
        tuple(sorted(network.gateway_addresses)),
        tuple(sorted(links, key=lambda link: link.number)),
    )


def _meter(tunnel: int, links: int) -> Meter:
    """Enough for the probes of all links through that tunnel; doubled in steps, so that it changes seldom."""
    rate = _PROBE_PACKETS_PER_SECOND
    while rate < 4 * links:
        rate *= 2
    return Meter(tunnel, rate, 2 * rate)


def _common() -> Iterator[str]:
    """Flows that all networks share."""
    yield _flow(Table.CLASSIFY, 0, "", "drop")
    yield _flow(Table.MAP, 0, "", "drop")
    for match in _NEVER_CROSSES:
        yield _flow(Table.GUARD, 100, match, "drop")
    yield _flow(Table.GUARD, 110, f"{_FROM_PEER},vlan_tci=0/0x1000,dl_type={PROBE_ETHERTYPE:#06x}", _goto(Table.PROBE))
    yield _flow(Table.GUARD, 0, _FROM_LOCAL, _goto(Table.UNICAST))
    yield _flow(Table.GUARD, 0, _FROM_PEER, _goto(Table.LEARN))
    # A learned flow, if one matches, sets reg2; FLOOD leaves frames with reg2 alone.
    yield _flow(Table.UNICAST, 0, "", f"resubmit(,{Table.LEARNED:d}),{_goto(Table.FLOOD)}")
    yield _flow(Table.FLOOD, 0, "", _goto(Table.OUTPUT))


def _peer(tunnel: int, probe: int) -> Iterator[str]:
    """Flows of one remote gateway: where its frames enter; probe requests and replies, both metered."""
    yield _flow(Table.CLASSIFY, 10, f"in_port={tunnel}", f"set_field:1->reg1,{_goto(Table.MAP)}")
    yield _flow(Table.PROBE, 20, f"in_port={tunnel},dl_src={PROBE_REPLY_MAC}", f"meter:{tunnel},output:{probe}")
    yield _flow(
        Table.PROBE,
        10,
        f"in_port={tunnel},dl_dst={PROBE_REQUEST_MAC}",
        f"meter:{tunnel},move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:{PROBE_REPLY_MAC}->eth_src,in_port",
    )


def _network(network: _Network, probe: int) -> Iterator[str]:
    number = network.number
    yield _flow(Table.CLASSIFY, 10, f"in_port={number}", _goto(Table.MAP))
    yield _flow(Table.MAP, 10, f"in_port={number}", f"set_field:{number}->reg0,{_goto(Table.GUARD)}")
    yield from _gateway_guard(network)
    yield _flow(Table.LEARN, 10, f"reg0={number}", f"{_learn(number)},output:{number}")
    if network.links:
        copies = ",".join(f"set_field:{link.number}->reg2,resubmit(,{Table.OUTPUT:d})" for link in network.links)
        yield _flow(Table.FLOOD, 10, f"reg0={number},reg2=0", copies)
    for link in network.links:
        yield _flow(
            Table.CLASSIFY,
            10,
            f"in_port={probe},dl_type={PROBE_ETHERTYPE:#06x},dl_src={link.probe_mac}",
            f"set_field:{number}->reg0,set_field:{link.number}->reg2,{_goto(Table.OUTPUT)}",
        )
        yield _flow(
            Table.MAP,
            10,
            f"in_port={link.number},tun_id={link.tunnel_id:#x}",
            f"set_field:{number}->reg0,{_goto(Table.GUARD)}",
        )
        yield _flow(
            Table.OUTPUT,
            10,
            f"reg0={number},reg2={link.number}",
            f"set_field:{link.tunnel_id:#x}->tun_id,output:{link.number}",
        )


def _gateway_guard(network: _Network) -> Iterator[str]:
    """The subnet's gateway is at the origin: frames that claim to be it are dropped from any other side."""
    wrong_side = f"reg0={network.number},{_FROM_PEER if network.at_origin else _FROM_LOCAL}"
    for address in network.gateway_addresses:
        yield _flow(Table.GUARD, 100, f"{wrong_side},arp,arp_spa={address}", "drop")


def _learn(number: int) -> str:
    cookie = LEARNED_OWNER << COOKIE_SHIFT | number
    return (
        f"learn(table={Table.LEARNED:d},cookie={cookie:#x},priority=10,hard_timeout={_LEARN_SECONDS},"
        f"limit={_LEARN_LIMIT},NXM_NX_REG0[],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
        "load:NXM_OF_IN_PORT[]->NXM_NX_REG2[0..15])"
    )


def _goto(table: Table) -> str:
    return f"goto_table:{table:d}"


def _flow(table: Table, priority: int, match: str, actions: str) -> str:
    return ",".join(filter(None, (f"table={table:d}", f"priority={priority}", match))) + f" actions={actions}"


def _cookie(flows: Iterable[str], meters: Iterable[Meter]) -> int:
    text = "\n".join([*flows, *map(repr, meters)])
    return OWNER << COOKIE_SHIFT | int.from_bytes(sha256(text.encode()).digest()[:6])
