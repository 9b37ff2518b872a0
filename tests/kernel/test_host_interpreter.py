"""The interpreter of flows says what Open vSwitch does: what leaves where, in which order, and what is learned."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from isthmus.core.node.plan import NodePlan
from isthmus.core.node.setcache import SetCache
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.names import PROBE_PORT, tunnel_port
from isthmus.model.node.flows import KnownAddress, Meter, PacketMeter, PlannedLink, PlannedNetwork, PlannedNetworks
from isthmus.model.node.numbers import Numbers
from isthmus.model.node.pipeline import PROBE_REPLY_MAC, PROBE_REQUEST_MAC, WHOLE_REQUEST_MAC, Table
from isthmus.model.node.switch import EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from tests.examples import load_profile
from tests.flowinterpreter.flowtable import parse_flow
from tests.flowinterpreter.switch import Sent, Switch, of_sets
from tests.golden.test_flows import CASES, DIRECTORY
from tests.kernel import frames
from tests.kernel.tunnelled import WIRE, Entering, Left, TunnelledBridge, tunnelled_bridge

load_profile()

GATEWAY = PeerGateway(name="gw", address="192.0.2.2")
ECHO = EchoPort(Vxlan(14789))
PATCHES = {"red": 4, "blue": 5}
PLAIN = {PROBE_PORT: 1, ECHO.name: 6, **PATCHES}
TUNNELS = {tunnel_port("cloud-b", "gw"): (2, "192.0.2.12"), tunnel_port("cloud-c", "gw"): (3, "192.0.2.13")}
CLOUDS = dict(zip(("cloud-b", "cloud-c"), TUNNELS, strict=True))
OFPORT = PLAIN | {name: number for name, (number, _) in TUNNELS.items()}
NAMES = {number: name for name, number in OFPORT.items()}
NUMBERS = Numbers({"red": 0x10, "blue": 0x11}, {"cloud-b": 0x20, "cloud-c": 0x21})
TUNNEL_IDS = (0x100000, 0x100001, 0x180000, 0x180001)
PROBE_MACS = ("02:00:00:00:00:b0", "02:00:00:00:00:b1", "02:00:00:00:00:c0", "02:00:00:00:00:c1")
MACS = ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:b1", "00:16:3e:00:00:b2", "fa:16:3e:00:00:c1")
GROUPS = (frames.BROADCAST, "01:00:5e:00:00:01", "33:33:00:00:00:01", "01:80:c2:00:00:0e", "01:80:c2:00:01:00")
ADDRESSES = ("10.20.0.1", "10.20.0.7", "10.20.0.11", "10.20.0.129", "10.20.0.200", "0.0.0.0", "169.254.169.254")
ADDRESSES_6 = ("fd00::1", "fd00::7", "fe80::1", "::", "fe80::a9fe:a9fe", "ff02::1")
PROBES = (PROBE_REQUEST_MAC, PROBE_REPLY_MAC, WHOLE_REQUEST_MAC)


ODD = ("0026424203000000", "888e0101", "0800", "86dd60000000", "080645000000", "81000005" + "88b5", "8100e0050800")
ECHO_NUMBER = PLAIN[ECHO.name]
_LINE = re.compile(
    r"^ *(?:set_field:(\S+)->tun_(id|src|dst)|output:(\d+)|(IN_PORT)|(>> skipping output to input port))$", re.MULTILINE
)
_CARRIED = re.compile(rf'^ *bridge\("{WIRE}"\)\n *-+\n.*\n *output:1$', re.MULTILINE)


class Step(NamedTuple):
    """A port by which a frame leaves, with what the flows say of the tunnel if it is one of these."""

    port: int
    tunnel: tuple[int, ...]


class Rendered(NamedTuple):
    """Flows with their cookies, and meters."""

    flows: tuple[tuple[int, str], ...]
    meters: tuple[Meter, ...]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TunnelledBridge]:
    with tunnelled_bridge(tmp_path_factory.mktemp("interpreter"), PLAIN, TUNNELS) as bridge:
        yield bridge


def _golden(case: str) -> Rendered:
    """The reviewed flows, with the cookies that stand above them."""
    cookie, flows, meters = 0, [], []
    for line in (DIRECTORY / f"{case}.flows").read_text().splitlines():
        if found := re.fullmatch(r"# .*: cookie (0x[0-9a-f]+)", line):
            cookie = int(found[1], 16)
        elif line.startswith("table="):
            flows.append((cookie, line))
        elif "Meter(" in line:
            meters.append(PacketMeter(*map(int, re.findall(r"=(\d+)", line))))  # of no rate, see `install`
    return Rendered(tuple(flows), tuple(meters))


@st.composite
def _networks(draw: st.DrawFn) -> Rendered:
    """Up to two networks, each stretched to up to two clouds."""
    made = []
    for index, name in enumerate(draw(st.sets(st.sampled_from(tuple(PATCHES))).map(sorted))):
        links = tuple(
            PlannedLink(cloud, CLOUDS[cloud], TUNNEL_IDS[2 * peer + index], PROBE_MACS[2 * peer + index], draw(_known))
            for peer, cloud in enumerate(CLOUDS)
            if draw(st.booleans())
        )
        gateways = tuple(draw(st.sets(st.sampled_from(("10.20.0.1", "10.21.0.1")))))
        routers = tuple(draw(st.sets(st.sampled_from(("10.20.0.1", "10.20.0.7", "fd00::1", "fe80::1")))))
        made.append(PlannedNetwork(name, name, draw(st.booleans()), gateways, links, routers))
    tunnels = {TunnelPort(name, ECHO.encapsulation, TunnelEnds("192.0.2.1", GATEWAY.address)) for name in TUNNELS}
    ports = Ports(frozenset(tunnels), echoes=frozenset({ECHO} if draw(st.booleans()) else ()))
    plan = NodePlan(ports=ports, networks=PlannedNetworks.of(made), gateways=dict.fromkeys(CLOUDS, (GATEWAY,)))
    sets = SetCache().sets(plan, NUMBERS, OFPORT)
    return Rendered(tuple(of_sets(sets)), tuple(meter for found in sets.values() for meter in found.meters))


_known = st.lists(st.builds(KnownAddress, st.sampled_from(ADDRESSES[2:5]), st.sampled_from(MACS[2:])), max_size=3).map(
    tuple
)
_address, _address_6, _mac = st.sampled_from(ADDRESSES), st.sampled_from(ADDRESSES_6), st.sampled_from(MACS)
_port = st.sampled_from((53, 67, 68, 546, 547, 4789))
_discovery = st.builds(
    frames.neighbour_discovery, st.sampled_from((135, 136)), _address_6, _address_6, _address_6, _mac
)
_body = st.one_of(
    st.builds(frames.arp, st.sampled_from((1, 1, 1, 2, 3)), _mac, _address, _address),
    st.builds(frames.ipv4_udp, _address, _address, _port, _port),
    st.builds(frames.ipv6_udp, _port, _port),
    st.builds(frames.icmpv6, st.integers(130, 140)),
    _discovery,
    st.just("88b5"),
    st.sampled_from(ODD[:5]),
)
_tagged = st.builds("{}{}".format, st.sampled_from(("81000005", "81000000", "8100e005")), _body)
_frame = st.builds(
    frames.frame,
    st.one_of(_mac, st.sampled_from(GROUPS), st.sampled_from(PROBES), st.sampled_from(PROBE_MACS)),
    st.one_of(_mac, st.sampled_from(PROBE_MACS), st.sampled_from((PROBE_REPLY_MAC, GROUPS[1]))),
    st.one_of(_body, _body, _body, _body, _tagged),
)
_entering = st.one_of(
    st.builds(Entering, _frame, st.sampled_from(sorted(PLAIN.values())), st.just(0)),
    st.builds(Entering, _frame, st.sampled_from((2, 3)), st.sampled_from((*TUNNEL_IDS, 0x777))),
    st.builds(Entering, _frame, st.sampled_from((2, 3)), st.just(TUNNEL_IDS[0])),
    st.builds(Entering, _frame, st.just(PATCHES["red"]), st.just(0)),
)
BODIES = (
    *(frames.arp(1, MACS[0], ADDRESSES[2], address) for address in ADDRESSES),
    *(frames.arp(1, MACS[0], address, ADDRESSES[3]) for address in ADDRESSES),
    frames.arp(2, MACS[0], ADDRESSES[2], ADDRESSES[3]),
    frames.arp(1, MACS[0], ADDRESSES[2], ADDRESSES[3]).replace("08060001", "08060006", 1),  # not of Ethernet
    frames.arp(0x101, MACS[0], ADDRESSES[2], ADDRESSES[3]),
    *(frames.ipv4_udp(ADDRESSES[2], address, 4000, 53) for address in ADDRESSES),
    *(frames.ipv4_udp(ADDRESSES[2], ADDRESSES[3], 4000, port) for port in (67, 68)),
    *(frames.ipv6_udp(4000, port) for port in (53, 546, 547)),
    *(frames.icmpv6(type_) for type_ in (128, 133, 134, 137)),
    *(frames.neighbour_discovery(t, s, "ff02::1", "fd00::1", MACS[0]) for t in (135, 136) for s in ADDRESSES_6[:5]),
    *(
        frames.neighbour_discovery(t, "fd00::7", "ff02::1", target, MACS[0])
        for t in (135, 136)
        for target in ADDRESSES_6
    ),
    "88b5",
    *ODD,
)
EACH = [
    *(
        Entering(frames.frame(mac, mac, "88b6"), port, id_)
        for mac in MACS
        for port, id_ in ((4, 0), (2, TUNNEL_IDS[0]))
    ),
    *(
        Entering(frames.frame(to, MACS[0], body), port, id_)
        for body in BODIES
        for port, id_ in ((4, 0), (2, TUNNEL_IDS[0]), (3, TUNNEL_IDS[2]))
        for to in (frames.BROADCAST, MACS[1])
    ),
    *(Entering(frames.frame(to, mac, "88b5"), 1, 0) for mac in PROBE_MACS for to in PROBES),
    *(Entering(frames.frame(to, PROBE_REPLY_MAC, "88b5"), 2, TUNNEL_IDS[0]) for to in (*PROBES, PROBE_MACS[0])),
    *(Entering(frames.frame(MACS[0], mac, "88b6"), 4, 0) for mac in MACS),
    *(Entering(frames.frame(mac, MACS[0], "88b6"), 4, 0) for mac in (*MACS, *GROUPS)),
]
"""Everything that flows distinguish, in each run."""
_checked = settings(
    max_examples=settings().max_examples // 4,  # each runs some programs, and has many frames
    database=None,  # a guest would write it into the tree
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def _expected(sent: list[Sent]) -> list[Left]:
    """By the files that they leave into, what tunnels send first: only the order within each of these is seen."""
    left = [Left(NAMES[one.port], one.frame, one.tun_id if NAMES[one.port] in TUNNELS else 0) for one in sent]
    return sorted(left, key=lambda one: _file(one.port))


def _file(port: str) -> str:
    return "" if port in TUNNELS else port


def _compare(bridge: TunnelledBridge, rendered: Rendered, entering: list[Entering]) -> None:
    bridge.install(*rendered)
    switch = Switch(rendered.flows)
    found = bridge.receive(entering)
    for entry, left in zip(entering, found, strict=True):
        assert sorted(left, key=lambda one: _file(one.port)) == _expected(switch.receive(*entry)), entry
    learned = {(cookie, parse_flow(flow)) for cookie, flow in bridge.learned(Table.LEARNED)}
    assert learned == switch.flows(Table.LEARNED)


@pytest.mark.parametrize("case", CASES)
@example(entering=EACH)
@given(entering=st.lists(_entering, min_size=1, max_size=30))
@_checked
def test_reviewed_flows_do_in_open_vswitch_what_the_interpreter_says(
    bridge: TunnelledBridge, case: str, entering: list[Entering]
) -> None:
    _compare(bridge, _golden(case), entering)


RELAYED = (
    "table=1,priority=10,tun_id=0x100001,in_port=2 "
    "actions=set_field:0x10->reg0,set_field:0x20->reg1,set_field:0x21->reg2,goto_table:2",
    "table=1,priority=10,tun_id=0x180001,in_port=3 "
    "actions=set_field:0x10->reg0,set_field:0x21->reg1,set_field:0x20->reg2,goto_table:2",
    "table=1,priority=10,tun_id=0x180000,in_port=2 "
    "actions=set_field:0x10->reg0,set_field:0x20->reg1,set_field:0x22->reg2,goto_table:2",
    "table=2,priority=103,arp,reg0=0x10,reg1=0x20,arp_spa=10.20.0.128/26 actions=goto_table:3",
    "table=2,priority=102,arp,reg0=0x10,reg1=0x20 actions=set_field:0x6->reg4,goto_table:10",
    "table=2,priority=80,reg0=0x10,reg1=0x21,reg2=0,dl_src=fa:16:3e:00:00:b1 actions=set_field:0x2->reg4,goto_table:10",
    "table=7,priority=10,reg0=0x10,reg1=0x20,reg2=0x21 actions=set_field:0x180001->tun_id,output:3",
    "table=7,priority=10,reg0=0x10,reg1=0x21,reg2=0x20 actions=set_field:0x100001->tun_id,output:2",
    "table=7,priority=10,reg0=0x10,reg1=0x20,reg2=0x22 actions=set_field:0x190000->tun_id,output:2",
)
"""Beside those of two peers: frames that are only handed on, one of them by its ingress port, and guards by prefix."""


@example(entering=EACH)
@given(entering=st.lists(_entering, min_size=1, max_size=30))
@_checked
def test_frames_are_handed_on_as_the_interpreter_says(bridge: TunnelledBridge, entering: list[Entering]) -> None:
    two_peers = _golden("two-peers")
    _compare(bridge, two_peers._replace(flows=(*two_peers.flows, *((1, flow) for flow in RELAYED))), entering)


@given(rendered=_networks(), entering=st.lists(_entering, min_size=1, max_size=30))
@_checked
def test_any_flows_do_in_open_vswitch_what_the_interpreter_says(
    bridge: TunnelledBridge, rendered: Rendered, entering: list[Entering]
) -> None:
    _compare(bridge, rendered, entering)


@given(rendered=_networks(), entering=st.lists(_entering, min_size=1, max_size=5))
@_checked
def test_frames_leave_in_the_order_that_open_vswitch_traces(
    bridge: TunnelledBridge, rendered: Rendered, entering: list[Entering]
) -> None:
    """Whatever the ports; with the tunnel ID, and the ends of an echo's tunnel, that the flows had set by then."""
    bridge.install(*rendered)
    switch = Switch(rendered.flows)
    for entry in entering:
        assert _traced(bridge.trace(entry), entry) == [_step(one) for one in switch.receive(*entry)], entry


def _step(one: Sent) -> Step:
    return _said(one.port, {"id": one.tun_id, "src": one.tun_src, "dst": one.tun_dst})


def _said(port: int, tunnel: dict[str, int]) -> Step:
    relevant = {ECHO_NUMBER: ("id", "src", "dst"), **dict.fromkeys((2, 3), ("id",))}.get(port, ())
    return Step(port, tuple(tunnel[name] for name in relevant))


def _traced(text: str, entry: Entering) -> list[Step]:
    """The frames that leave, in order, and what had been said of their tunnel by then."""
    found: list[Step] = []
    tunnel = {"id": entry.tun_id, "src": 0, "dst": 0}
    for value, of, port, in_port, skipped in _LINE.findall(_CARRIED.sub("", text)):
        if of:
            tunnel[of] = int(value, 0) if of == "id" else int(IPv4Address(value))
        elif skipped:
            found.pop()
        elif port or in_port:
            found.append(_said(int(port or entry.port), tunnel))
    return found
