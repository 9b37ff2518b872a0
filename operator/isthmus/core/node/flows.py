"""The pipeline of br-cloud as sets of flows, one table for each step; see docs/br-cloud.md.

Flows are written exactly as Open vSwitch lists them, so that installed flows can be compared by their text.
Registers hold the numbers of the network, of the member that a frame comes from, and of the member that it goes to,
while the frame is in the pipeline; OpenFlow ports and tunnel IDs appear only where frames enter and leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import BandwidthMeter, FlowSet, KnownAddress, Meter, Owner, PacketMeter
from isthmus.model.node.pipeline import (
    PROBE_ETHERTYPE,
    PROBE_REPLY_MAC,
    PROBE_REQUEST_MAC,
    WHOLE_REQUEST_MAC,
    Direction,
    Table,
    bandwidth_meter,
    learned_cookie,
    probe_meter,
    set_cookie,
    storm_meter,
)
from isthmus.model.node.tunnel import TunnelEnds

from .answers import answers_limit, common_answers, network_answers
from .flowlines import flow as _flow
from .flowlines import goto as _goto
from .gatewayclaims import HERE, wrong_claims
from .ownership import FOREIGN, LOOK_UP, common_ownership

_LEARN_SECONDS = 300
_LEARN_LIMIT = 2048  # addresses of each cloud in a network, so that none can exhaust the budget of another
_PROBE_PACKETS_PER_SECOND = 200  # at least; per link four, two each way, if each end probes every second
LINKS_PER_PATH_TO_RECEIVER = 6  # each end may probe it five times a second more: less than 50 % of what may pass
_STORM_PACKETS_PER_SECOND = 1000  # ARP of thousands of machines, less than what burdens a node
_STORM_BURST_PACKETS = 1000
_BURST_SECONDS = 1  # what may pass at once: of 1 Mbit/s more than the 64 KiB of a segment before it is divided

# reg0: the network. reg1: the member that the frame comes from, 0: this cloud.
# reg2: the member that it goes to, 0: not known, or this cloud. reg3: 1 if it goes to a known address of this cloud.
# reg4: why it is dropped. reg10: see ownership.py. The others are those of ARP requests in RESOLVE.
_FROM_HERE = "reg1=0"
_TO_LOCAL = "reg3=0x1"
_UNTAGGED = "vlan_tci=0x0000/0x1000"

_NEVER_CROSSES = {
    "vlan_tci=0x1000/0x1000": Drop.VLAN_TAG,  # would hide the protocol from these rules; Neutron's networks have none
    "dl_src=01:00:00:00:00:00/01:00:00:00:00:00": Drop.FORGED,  # learned, it would redirect all its frames to one peer
    f"{_FROM_HERE},dl_type={PROBE_ETHERTYPE:#06x}": Drop.FORGED,
    "dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:00": Drop.LINK_LOCAL,  # spanning tree, LACP, LLDP (IEEE 802.1Q)
    **{f"udp,tp_dst={port}": Drop.CLOUD_SERVICE for port in (67, 68)},
    **{f"udp6,tp_dst={port}": Drop.CLOUD_SERVICE for port in (546, 547)},
    "ip,nw_dst=169.254.169.254": Drop.CLOUD_SERVICE,
    "ip,nw_src=169.254.169.254": Drop.CLOUD_SERVICE,
    "arp,arp_tpa=169.254.169.254": Drop.CLOUD_SERVICE,
    "arp,arp_spa=169.254.169.254": Drop.CLOUD_SERVICE,
    "ipv6,ipv6_dst=fe80::a9fe:a9fe": Drop.CLOUD_SERVICE,
    "ipv6,ipv6_src=fe80::a9fe:a9fe": Drop.CLOUD_SERVICE,
    "icmp6,icmp_type=135,icmp_code=0,nd_target=fe80::a9fe:a9fe": Drop.CLOUD_SERVICE,
    "icmp6,icmp_type=136,icmp_code=0,nd_target=fe80::a9fe:a9fe": Drop.CLOUD_SERVICE,
}
# Discovery of IPv6 routers (RFC 4861) stays in its own cloud, but for that of the origin's where IPv6 is stretched.
_DISCOVERY_TYPES = (133, 134, 137)
_SOLICITATION, _ADVERTISEMENT, _REDIRECT = _DISCOVERY_TYPES
_DISCOVERY_CROSSES, _DISCOVERY = 101, 100  # priorities: behind all other reasons


@dataclass(frozen=True)
class Echo:
    """Where requests leave that may not be fragmented: the echo port's OpenFlow port, and the ends of the tunnel."""

    port: int
    ends: TunnelEnds


@dataclass(frozen=True)
class Link:
    """A path to one member of a network: its number, the tunnel's OpenFlow port, the tunnel ID."""

    member: int
    tunnel: int
    tunnel_id: int
    probe_mac: str
    echo: Echo | None = None
    known: tuple[KnownAddress, ...] = ()
    gateway_addresses: tuple[str, ...] = ()
    direct: bool = False
    """Whether it leads to another receiver without the origin, which therefore guards nothing that enters by it."""
    other: bool = False
    """Whether what is sent to the member takes its other path."""
    ipv6: bool = False
    meter: int | None = None
    """The bandwidth meter of what is sent to the peer whose tunnel it is; None: it may have any bandwidth."""


class End(NamedTuple):
    """Where frames that are handed on enter or leave: the member there, the tunnel's OpenFlow port, the tunnel ID."""

    member: int
    tunnel: int
    tunnel_id: int
    meter: int | None = None
    """As that of a `Link`."""


class Relay(NamedTuple):
    """What is handed on from one member to another."""

    source: End
    destination: End


@dataclass(frozen=True)
class Network:
    """A network with its number and its patch's OpenFlow port."""

    name: str
    number: int
    patch: int
    at_origin: bool
    gateway_addresses: tuple[str, ...]
    links: tuple[Link, ...]
    router_addresses: tuple[str, ...] = ()
    local_gateway_addresses: tuple[str, ...] = ()
    relays: tuple[Relay, ...] = ()


def common_set() -> FlowSet:
    """The flows that all networks share."""
    return FlowSet(Owner("common"), set_cookie(), frozenset(_common()))


def peer_set(
    cloud_id: str, member: int, tunnels: Iterable[int], links: int, probe: int, megabits_per_second: int | None = None
) -> FlowSet:
    """The flows of a peer: where frames of its gateways enter; probe requests and replies, which a meter limits.

    With `megabits_per_second` other meters limit all that its machines are sent, and all that they send.
    """
    limits: tuple[Meter, ...] = ()
    if megabits_per_second is not None:
        limits = tuple(_bandwidth_meter(member, direction, megabits_per_second) for direction in Direction)
    received = bandwidth_meter(member, Direction.RECEIVED) if limits else None
    flows = frozenset(flow for tunnel in tunnels for flow in _tunnel(tunnel, member, probe, received))
    meters = (_meter(member, links), *limits)
    return FlowSet(Owner("peer", cloud_id), set_cookie(member=member), flows, meters)


def network_set(network: Network, probe: int) -> FlowSet:
    """The flows of a network, and its meters: for what this cloud sends, each member sends, and is answered here."""
    senders = sorted({link.member for link in network.links})
    meters = tuple(_storm_meter(network.number, sender) for sender in ([0, *senders] if senders else []))
    if any(link.known for link in network.links):
        meters = (*meters, answers_limit(network.number))
    flows = frozenset(_network(network, probe))
    return FlowSet(Owner("network", network.name), set_cookie(network.number), flows, meters)


def _meter(member: int, links: int) -> PacketMeter:
    """Enough for the probes of all links to that peer; doubled in steps, so that it changes seldom."""
    rate = _PROBE_PACKETS_PER_SECOND
    while rate < 4 * links:
        rate *= 2
    return PacketMeter(probe_meter(member), rate, 2 * rate)


def _bandwidth_meter(member: int, direction: Direction, megabits_per_second: int) -> BandwidthMeter:
    rate = 1000 * megabits_per_second
    return BandwidthMeter(bandwidth_meter(member, direction), rate, _BURST_SECONDS * rate)


def _storm_meter(network: int, sender: int) -> PacketMeter:
    return PacketMeter(storm_meter(network, sender), _STORM_PACKETS_PER_SECOND, _STORM_BURST_PACKETS)


def _common() -> Iterator[str]:
    yield _flow(Table.CLASSIFY, 0, "", "drop")
    yield _flow(Table.MAP, 0, "", "drop")
    for match, reason in _NEVER_CROSSES.items():
        yield _guard(match, reason)
    for type_ in _DISCOVERY_TYPES:
        yield _flow(Table.GUARD, _DISCOVERY, f"icmp6,icmp_type={type_}", _drop(Drop.IPV6_ROUTER))
    yield _guard(FOREIGN, Drop.OWNERSHIP)
    # A probe that is only handed on to another member stays in the pipeline, and so tests its whole path.
    yield _flow(Table.GUARD, 90, f"reg2=0,{_UNTAGGED},dl_type={PROBE_ETHERTYPE:#06x}", _goto(Table.PROBE))
    yield _flow(Table.GUARD, 2, _FROM_HERE, _goto(Table.UNICAST))
    yield _flow(Table.GUARD, 1, "reg2=0", _goto(Table.LEARN))
    yield _flow(Table.GUARD, 0, "", _goto(Table.OUTPUT))
    # What br-int floods although it is for a machine of this cloud need not cross.
    yield _flow(Table.FLOOD, 20, _TO_LOCAL, "drop")
    yield _flow(Table.FLOOD, 0, "", _goto(Table.OUTPUT))
    yield _flow(Table.DROP, 0, "", "drop")
    yield from common_answers()
    yield from common_ownership()


def _tunnel(tunnel: int, member: int, probe: int, received: int | None) -> Iterator[str]:
    meter = probe_meter(member)
    yield _flow(Table.CLASSIFY, 10, f"in_port={tunnel}", f"{_metered(received)}{_goto(Table.MAP)}")
    if received is not None:  # a path that is full is not down
        yield _flow(Table.CLASSIFY, 20, f"in_port={tunnel},dl_type={PROBE_ETHERTYPE:#06x}", _goto(Table.MAP))
    yield _flow(Table.PROBE, 20, f"in_port={tunnel},dl_src={PROBE_REPLY_MAC}", f"meter:{meter},output:{probe}")
    yield _flow(
        Table.PROBE,
        10,
        f"in_port={tunnel},dl_dst={PROBE_REQUEST_MAC}",
        f"meter:{meter},move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],set_field:{PROBE_REPLY_MAC}->eth_src,IN_PORT",
    )


def _network(network: Network, probe: int) -> Iterator[str]:
    reg0 = f"set_field:{network.number:#x}->reg0"
    yield _flow(Table.CLASSIFY, 10, f"in_port={network.patch}", _goto(Table.MAP))
    yield _flow(Table.MAP, 10, f"in_port={network.patch}", f"{reg0},{LOOK_UP},{_goto(Table.GUARD)}")
    wrong = (*_wrong_claims(network),)
    yield from _gateway_guard(network.number, wrong)
    yield from _router_guard(network)
    yield from _router_discovery(network)
    links, claiming = sorted(network.links, key=lambda link: link.member), {sender for sender, _ in wrong}
    paths = Counter(link.member for link in links)
    if any(":" in address for address in network.router_addresses):
        claiming |= paths.keys()
    if links:
        yield from _shared(network, links, claims=HERE in claiming)
    for link in links:
        yield from _path(network.number, link, probe, alone=paths[link.member] == 1)
    for member in paths:
        yield from _member(network, member, claims=member in claiming)
    for relay in network.relays:
        yield from _relay(network.number, relay)


def _shared(network: Network, links: Iterable[Link], *, claims: bool) -> Iterator[str]:
    """The steps of a network that do not depend on the member, if there is any."""
    number = f"reg0={network.number:#x}"
    # A learned flow, if one matches, sets reg2 or reg3; RESOLVE and FLOOD leave frames with reg2 alone.
    look_up = f"{_learn(network.number, 0)},resubmit(,{Table.LEARNED:d}),{_goto(Table.RESOLVE)}"
    yield _flow(Table.UNICAST, 10, number, look_up)
    # One for each member, however many paths it has.
    members = dict.fromkeys(link.member for link in links)
    copies = ",".join(f"set_field:{member:#x}->reg2,resubmit(,{Table.OUTPUT:d})" for member in members)
    yield _flow(Table.FLOOD, 10, f"{number},reg2=0", f"meter:{storm_meter(network.number)},{copies}")
    yield _flow(Table.DELIVER, 20, f"{number},{_TO_LOCAL}", f"output:{network.patch}")
    known = ((link.member, entry) for link in links for entry in link.known)
    yield from network_answers(network.number, known, network.router_addresses)
    yield from _counters(network, _FROM_HERE, claims=claims)


def _path(network: int, link: Link, probe: int, *, alone: bool) -> Iterator[str]:
    """Frames that enter by a path, its probes, and where frames leave, unless they take the member's other path."""
    reg0 = f"set_field:{network:#x}->reg0"
    leave = f"set_field:{link.tunnel_id:#x}->tun_id,output:{link.tunnel}"
    yield _flow(
        Table.CLASSIFY,
        10,
        f"in_port={probe},dl_src={link.probe_mac},dl_type={PROBE_ETHERTYPE:#06x}",
        # Of several paths each is probed, also the one that nothing else takes.
        f"{reg0},set_field:{link.member:#x}->reg2,{_goto(Table.OUTPUT) if alone else leave}",
    )
    if link.echo is not None:
        yield _whole_request(link, link.echo, probe)
    yield _flow(
        Table.MAP,
        10,
        f"tun_id={link.tunnel_id:#x},in_port={link.tunnel}",
        f"{reg0},set_field:{link.member:#x}->reg1,{LOOK_UP},{_goto(Table.GUARD)}",
    )
    if link.other:
        return
    yield _flow(Table.OUTPUT, 10, f"reg0={network:#x},{_FROM_HERE},reg2={link.member:#x}", leave)
    if link.meter is not None:
        # Not in OUTPUT, where copies of a flooded frame leave, too: a meter that drops one ends those that follow.
        yield _flow(
            Table.FLOOD, 10, f"reg0={network:#x},reg2={link.member:#x}", f"{_metered(link.meter)}{_goto(Table.OUTPUT)}"
        )


def _member(network: Network, member: int, *, claims: bool) -> Iterator[str]:
    """What becomes of a member's frames, by whichever path they enter."""
    match = f"reg0={network.number:#x},reg1={member:#x}"
    deliver = f"{_learn(network.number, member)},resubmit(,{Table.LEARNED:d}),{_goto(Table.DELIVER)}"
    yield _flow(Table.LEARN, 10, match, deliver)
    yield _flow(Table.DELIVER, 10, match, f"meter:{storm_meter(network.number, member)},output:{network.patch}")
    yield from _counters(network, f"reg1={member:#x}", claims=claims)


def _relay(network: int, relay: Relay) -> Iterator[str]:
    """Frames between two other members: neither looked up, learned, flooded nor delivered here, and handed on once."""
    source, destination = relay
    # In another order than reg0 and reg1 of what is received here, by which that is counted.
    members = f"set_field:{destination.member:#x}->reg2,set_field:{source.member:#x}->reg1"
    yield _flow(
        Table.MAP,
        10,
        f"tun_id={source.tunnel_id:#x},in_port={source.tunnel}",
        f"set_field:{network:#x}->reg0,{members},{LOOK_UP},{_goto(Table.GUARD)}",
    )
    match = f"reg0={network:#x},reg1={source.member:#x},reg2={destination.member:#x}"
    leave = f"set_field:{destination.tunnel_id:#x}->tun_id,output:{destination.tunnel}"
    yield _flow(Table.OUTPUT, 10, match, f"{_metered(destination.meter)}{leave}")
    # The destination counts them among this cloud's probes: no other member may use up what these may have.
    probe = f"{match},dl_type={PROBE_ETHERTYPE:#06x}"
    yield _flow(Table.OUTPUT, 20, probe, f"meter:{probe_meter(source.member)},{leave}")


def _whole_request(link: Link, echo: Echo, probe: int) -> str:
    """To the remote gateway it is a probe request like any other, and the reply comes back as one."""
    version = "ipv6_" if ":" in echo.ends.remote else ""
    return _flow(
        Table.CLASSIFY,
        20,
        f"in_port={probe},dl_src={link.probe_mac},dl_dst={WHOLE_REQUEST_MAC},dl_type={PROBE_ETHERTYPE:#06x}",
        f"set_field:{PROBE_REQUEST_MAC}->eth_dst,set_field:{link.tunnel_id:#x}->tun_id,"
        f"set_field:{echo.ends.local}->tun_{version}src,set_field:{echo.ends.remote}->tun_{version}dst,"
        f"output:{echo.port}",
    )


def _gateway_guard(network: int, wrong: Iterable[tuple[int, str]]) -> Iterator[str]:
    """A gateway is in one cloud, mostly the origin: what claims its address is dropped from any other."""
    for sender, address in wrong:
        side = f"reg0={network:#x},{f'reg1={sender:#x}' if sender != HERE else _FROM_HERE}"
        if ":" in address:
            yield from _discovery_guard(side, address)
        else:
            yield _guard(f"arp,{side},arp_spa={address}", Drop.GATEWAY)


def _wrong_claims(network: Network) -> Iterator[tuple[int, str]]:
    of_members = {link.member: link.gateway_addresses for link in network.links}
    return wrong_claims(
        network.gateway_addresses,
        network.local_gateway_addresses,
        of_members,
        at_origin=network.at_origin,
        direct=sorted({link.member for link in network.links if link.direct}),
    )


def _router_guard(network: Network) -> Iterator[str]:
    """Neighbour discovery of a peer does not speak for routers of this cloud."""
    for address in (address for address in network.router_addresses if ":" in address):
        for link in network.links:
            yield from _discovery_guard(f"reg0={network.number:#x},reg1={link.member:#x}", address)


def _discovery_guard(side: str, address: str) -> Iterator[str]:
    """Drop neighbour discovery (RFC 4861) that claims an IPv6 address.

    Claims are advertisements, the source of solicitations, whose link-layer address is believed, too, and
    solicitations without a source, which find duplicates (RFC 4862) and would make a router give up its address.
    """
    advertised, solicited = "icmp_type=136,icmp_code=0", "icmp_type=135,icmp_code=0"
    yield _guard(f"icmp6,{side},{advertised},nd_target={address}", Drop.GATEWAY)
    yield _guard(f"icmp6,{side},ipv6_src={address},{solicited}", Drop.GATEWAY)
    yield _guard(f"icmp6,{side},ipv6_src=::,{solicited},nd_target={address}", Drop.GATEWAY)


def _router_discovery(network: Network) -> Iterator[str]:
    """Where IPv6 is stretched, advertisements and redirects of the origin's side cross, and solicitations to it.

    What is of this cloud leaves for these members alone: others would drop it, and take it for a fault of the guard.
    """
    links = sorted((link for link in network.links if link.ipv6), key=lambda link: link.member)
    of_origin, of_receiver = [_ADVERTISEMENT, _REDIRECT], [_SOLICITATION]
    leaving, arriving = (of_origin, of_receiver) if network.at_origin else (of_receiver, of_origin)
    number = f"reg0={network.number:#x}"
    copies = ",".join(f"set_field:{link.member:#x}->reg2,resubmit(,{Table.OUTPUT:d})" for link in links)
    for type_ in leaving if links else ():
        match = f"icmp6,{number},{_FROM_HERE},icmp_type={type_},icmp_code=0"
        actions = f"meter:{storm_meter(network.number)},{_learn(network.number, 0)},{copies}"
        yield _flow(Table.GUARD, _DISCOVERY_CROSSES, match, actions)
    for link in links:
        for type_ in arriving:
            match = f"icmp6,{number},reg1={link.member:#x},reg2=0,icmp_type={type_},icmp_code=0"
            yield _flow(Table.GUARD, _DISCOVERY_CROSSES, match, _goto(Table.LEARN))


def _metered(meter: int | None) -> str:
    return "" if meter is None else f"meter:{meter},"


def _guard(match: str, reason: Drop) -> str:
    """A frame that matches several has the first of these reasons."""
    return _flow(Table.GUARD, 110 - reason, match, _drop(reason))


def _drop(reason: Drop) -> str:
    return f"set_field:{reason:#x}->reg4,{_goto(Table.DROP)}"


def _counters(network: Network, sender: str, *, claims: bool) -> Iterator[str]:
    """One flow for each reason why the guard drops what a sender sends, which counts; `claims` of gateways only so."""
    for reason in (reason for reason in Drop if reason != Drop.STORM and (claims or reason != Drop.GATEWAY)):
        yield _flow(Table.DROP, 10, f"reg0={network.number:#x},{sender},reg4={reason:#x}", "drop")


def _learn(network: int, member: int) -> str:
    """One table has the addresses of all members and of this cloud (0): the latest frame says where a machine is."""
    found = "load:NXM_NX_REG1[0..15]->NXM_NX_REG2[0..15]" if member else "load:0x1->NXM_NX_REG3[0]"
    return (
        f"learn(table={Table.LEARNED:d},hard_timeout={_LEARN_SECONDS},priority=10,"
        f"cookie={learned_cookie(network, member):#x},limit={_LEARN_LIMIT},NXM_NX_REG0[],"
        f"NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],{found})"
    )
