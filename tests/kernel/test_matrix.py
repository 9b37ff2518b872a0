"""Peers by VXLAN, Geneve and GRE at once, in each mode of ESP, with keys and with certificates, over IPv4 and IPv6.

Each row is a federation of its own: what crosses, to the byte, and that nothing ever leaves in clear.
"""

from __future__ import annotations

import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Final

import pytest

from isthmus.adapters.linux.devices import KernelTunnelDevices
from isthmus.adapters.linux.nft import Nft
from isthmus.adapters.linux.probe import PacketProbe
from isthmus.agent.clamping import Clamping, wanted_clamps
from isthmus.core.node.firewall import UNPROTECTED_IN, UNPROTECTED_OUT
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.addresses import IpVersion
from isthmus.model.api.v1alpha1.cloudpeer import Authentication
from isthmus.model.node.firewall import DEVICE_FAMILY
from isthmus.model.node.inforce import EspMode
from isthmus.model.node.tunnel import ENCAPSULATIONS, EncapsulationName, ModeName
from tests.kernel import frames
from tests.kernel.handshake import Handshake, connect
from tests.kernel.hidden import HiddenHub
from tests.kernel.kinds import IPV6, Federation, Wan, federation
from tests.kernel.node import Wire
from tests.kernel.openvswitch import Machine, inside, sh
from tests.testbed.host.process import wait_until
from tests.testbed.wan.wire import Traffic

ALL: Final[Mapping[str, EncapsulationName]] = {"b": "VXLAN", "c": "Geneve", "d": "GRE"}
UDP_KINDS: Final[Mapping[str, EncapsulationName]] = {"b": "VXLAN", "c": "Geneve"}
UNPROTECTED = {"b": (socket.IPPROTO_UDP, 14789), "c": (socket.IPPROTO_UDP, 16081), "d": (socket.IPPROTO_GRE, 0)}
HEADER_BYTES = {kind.NAME: kind.HEADER_BYTES for kind in ENCAPSULATIONS.values()}
HEADERS = 20 + 20  # of IPv4 and of TCP
PAYLOAD_BYTES = 200_000
MACHINE_MTU = 1500
ETHERNET_HEADER = 14
NOT_IP = "88b6"  # for experiments of one site (IEEE 802)
PINGS = 3
QUIET_SECONDS = 0.3
ARRIVED_SECONDS = 20.0


@dataclass(frozen=True)
class Row:
    """How the gateways of a federation protect their tunnels, and the largest packet that crosses whole."""

    wan: Wan
    mode: ModeName
    authentication: Authentication
    esp_mode: EspMode
    largest: int
    kinds: Mapping[str, EncapsulationName] = field(default_factory=lambda: ALL)

    def largest_by(self, peer: str) -> int:
        """GRE has 8 bytes less of headers, and GRE and the others have equal padding."""
        return self.largest + (8 if self.kinds[peer] == "GRE" else 0)

    @property
    def ip_version(self) -> IpVersion:
        return ip_network(self.wan.network).version

    @property
    def has_nat(self) -> bool:
        return isinstance(self.wan, HiddenHub)

    @property
    def fragments(self) -> bool:
        """Linux does not fragment ESP over IPv6 in transport mode."""
        return self.ip_version == 4 or self.esp_mode == "Tunnel"


ROWS: Final = {
    "transport-key": Row(Wan(), "Auto", "PSK", "Transport", 1416),
    "transport-certificate": Row(Wan(), "Transport", "Certificate", "Transport", 1416),
    "tunnel-certificate": Row(Wan(), "Tunnel", "Certificate", "Tunnel", 1396),
    "nat-key": Row(HiddenHub(), "Auto", "PSK", "Tunnel", 1388),
    "nat-certificate": Row(HiddenHub(), "Tunnel", "Certificate", "Tunnel", 1388),
    "ipv6-tunnel-certificate": Row(Wan(IPV6), "Auto", "Certificate", "Tunnel", 1376),
    "ipv6-transport-key": Row(Wan(IPV6), "Transport", "PSK", "Transport", 1396, UDP_KINDS),
}
ONE_OF_EACH_MODE: Final = [name for name in ROWS if name not in ("transport-certificate", "nat-certificate")]


@dataclass(frozen=True)
class Connected:
    """A row's federation with its SAs, and for each peer both machines of the network that is stretched to it."""

    row: Row
    made: Federation
    pairs: Mapping[str, tuple[Machine, Machine]]

    def ping(self, size: Callable[[str], int], *, fragment: bool = True) -> dict[str, int]:
        """The number of answers from each peer's machine, of `PINGS`, to packets of this size by the peer's name."""
        machines = self.made.machines
        with ThreadPoolExecutor() as pool:
            answers = {p: pool.submit(machines[p].ping, PINGS, size(p), fragment) for p in machines}
            return {peer: answer.result() for peer, answer in answers.items()}

    def each(self, value: int) -> dict[str, int]:
        return dict.fromkeys(self.row.kinds, value)


@pytest.fixture(scope="module")
def federations(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Row], Federation]]:
    """The nodes of a row, not yet connected: those of the row before, if it has the same."""
    made: dict[tuple[object, ...], Federation] = {}
    with ExitStack() as stack:

        def of(row: Row) -> Federation:
            key = row.wan, *row.kinds
            if key in made:
                made[key].start_over(row.mode, row.authentication)
                return made[key]
            stack.close()
            made.clear()
            directory = tmp_path_factory.mktemp("matrix")
            context = federation(row.kinds, directory, row.mode, row.wan, row.authentication)
            return made.setdefault(key, stack.enter_context(context))

        yield of


@pytest.fixture(scope="module", params=ROWS)
def connected(request: pytest.FixtureRequest, federations: Callable[[Row], Federation]) -> Connected:
    row = ROWS[request.param]
    made = federations(row)
    made.fences()
    with row.wan.wire(made.nodes) as wire:
        made.connect()
        for peer, machine in made.machines.items():
            wait_until(lambda: machine.ping(1) == 1, 20, f"traffic of {peer}")  # noqa: B023
        wire.summary().require_protected()
    return Connected(row, made, {peer: (Machine(f"vm-a{peer}"), Machine(f"vm-{peer}a")) for peer in row.kinds})


def test_the_node_has_what_was_planned(connected: Connected) -> None:
    row, made = connected.row, connected.made
    for cloud in made.clouds.values():
        assert cloud.database.view().ports == cloud.plan.ports
        assert cloud.node.blocks() == cloud.plan.blocks
        assert cloud.node.table() == cloud.plan.firewall
    assert {tunnel.encapsulation.NAME for tunnel in made.hub.plan.ports.tunnels} == {*row.kinds.values()}


def test_the_sas_are_those_of_the_row(connected: Connected) -> None:
    row, made = connected.row, connected.made
    states = made.hub.node.ike.view().states
    assert len(states) == len(row.kinds)
    for state in states.values():
        assert (state.in_force.esp_mode, state.in_force.nat) == (row.esp_mode, "Local" if row.has_nat else "None")
    log = made.hub.node.log.read_text()
    for peer in row.kinds:
        verified = [line for line in log.splitlines() if f"authentication of 'gw-{peer}.cloud-{peer}' with" in line]
        assert verified
        assert all(("pre-shared key" in line) == (row.authentication == "PSK") for line in verified)


def test_largest_packet_crosses_whole_and_one_more_byte_in_fragments_or_not(connected: Connected) -> None:
    """In transport mode over IPv6 it is lost, unless its sender gets an answer."""
    row = connected.row
    for peer, kind in row.kinds.items():
        assert row.largest_by(peer) == inner_mtu(
            1500,
            HEADER_BYTES[kind],
            underlay=row.ip_version,
            tunnel_mode=row.esp_mode == "Tunnel",
            through_nat=row.has_nat,
        )
    each = connected.each
    with row.wan.wire(connected.made.nodes) as wire:
        assert connected.ping(lambda _: 84) == each(PINGS)
        assert connected.ping(row.largest_by) == each(PINGS)
        assert connected.ping(row.largest_by, fragment=False) == each(PINGS)
        assert _whole(wire) >= 3 * 2 * PINGS * len(row.kinds)
        assert connected.ping(lambda peer: row.largest_by(peer) + 1) == each(PINGS if row.fragments else 0)
        assert connected.ping(lambda _: MACHINE_MTU) == each(PINGS if row.fragments else 0)
        assert _fragments(wire) >= (2 * 2 * 2 * PINGS * len(row.kinds) if row.fragments else 0)
        # Where the kernel reports the path MTU, the machine obeys; by GRE what may not be fragmented is all the same.
        by_kind = {peer: PINGS if kind == "GRE" else 0 for peer, kind in row.kinds.items()}
        assert connected.ping(lambda peer: row.largest_by(peer) + 1, fragment=False) == by_kind
        wire.summary().require_protected()


def _whole(wire: Wire) -> int:
    """The number of ESP packets, if nothing was in clear and nothing in fragments."""
    summary = wire.summary()
    summary.require_protected()
    assert summary.counts[Traffic.ESP_FRAGMENT] == 0
    return summary.counts[Traffic.ESP]


def _fragments(wire: Wire) -> int:
    """The number of fragments, if nothing was in clear."""
    summary = wire.summary()
    summary.require_protected()
    return summary.counts[Traffic.ESP_FRAGMENT]


def test_frames_that_are_not_ip_cross_up_to_the_machines_mtu(connected: Connected) -> None:
    row = connected.row
    with row.wan.wire(connected.made.nodes) as wire:
        _require_arrival(connected, row.largest_by, 1)
        assert _whole(wire) >= len(row.kinds)
        _require_arrival(connected, lambda peer: row.largest_by(peer) + 1, int(row.fragments))
        _require_arrival(connected, lambda _: MACHINE_MTU, int(row.fragments))
        assert _fragments(wire) >= (2 * 2 * len(row.kinds) if row.fragments else 0)


def _require_arrival(connected: Connected, packet_bytes: Callable[[str], int], count: int) -> None:
    """A frame arrives so often at each peer that is not IP; its size is without the Ethernet header."""
    sent = {p: [_not_ip(*pair, packet_bytes(p))] for p, pair in connected.pairs.items()}
    assert _arrive(connected, sent, count) == connected.each(count)


def _arrive(connected: Connected, sent: Mapping[str, list[bytes]], count: int) -> dict[str, int]:
    """By peer, how many of the frames arrive that are sent to its machine; so many of each are waited for."""
    arrived = Counter[str]()
    with ExitStack() as stack:
        heard = {}
        for peer, (near, far) in connected.pairs.items():
            heard[peer] = stack.enter_context(far.listening())
            near.send(*sent[peer])

        def complete() -> bool:
            for peer, received in heard.items():
                arrived[peer] += sum(frame in sent[peer] for frame in received(0.05))
            return all(arrived[peer] >= count for peer in heard)

        with suppress(TimeoutError):
            wait_until(complete, ARRIVED_SECONDS, "the frames")
        time.sleep(QUIET_SECONDS)
        complete()
    return {peer: arrived[peer] for peer in heard}


def _not_ip(near: Machine, far: Machine, packet_bytes: int) -> bytes:
    return frames.frame(far.mac, near.mac, NOT_IP).ljust(ETHERNET_HEADER + packet_bytes, b"\0")


@pytest.mark.parametrize("connected", ONE_OF_EACH_MODE, indirect=True)
def test_echoes_that_may_not_be_fragmented_are_lost_from_one_byte_more_on(connected: Connected) -> None:
    """They are between the ends that the flows of the echo port set. In transport mode over IPv6 no others cross."""
    row, hub = connected.row, connected.made.hub
    links = {link.cloud_id: link.probe_mac for network in hub.plan.networks for link in network.links}
    macs = {(peer, more): links[f"cloud-{peer}"] for peer in row.kinds for more in (0, 1)}
    sizes = {(peer, more): row.largest_by(peer) + more for peer, more in macs}

    def back(*, whole: bool) -> set[tuple[str, int]]:
        by_name = {f"{peer}{more}": mac for (peer, more), mac in macs.items()}
        mtus = {f"{peer}{more}": size for (peer, more), size in sizes.items()}
        found = inside(hub.node.name, lambda: PacketProbe().exchange(by_name, 2.0, 0.2, mtus, whole=whole))
        return {key for key in macs if found[f"{key[0]}{key[1]}"].received == 1}

    fitting = {key for key in macs if key[1] == 0}
    with row.wan.wire(connected.made.nodes) as wire:
        assert back(whole=True) == fitting
        assert _whole(wire) >= 2 * len(row.kinds)
        assert back(whole=False) == (macs.keys() if row.fragments else fitting)
        assert _fragments(wire) >= (4 * len(row.kinds) if row.fragments else 0), "of the request and of the reply"


def test_streams_of_tcp_cross_whole_both_ways(connected: Connected) -> None:
    """The machines have an MTU of 1500; the hub limits the segments of both directions."""
    row, hub = connected.row, connected.made.hub
    clamps = wanted_clamps(hub.plan, hub.database.view())
    inside(hub.node.name, lambda: Clamping(Nft(DEVICE_FAMILY), KernelTunnelDevices()).follow(clamps))
    for peer, (near, far) in connected.pairs.items():
        limit = row.largest_by(peer) - HEADERS
        with row.wan.wire(connected.made.nodes) as wire:
            found = connect(near, far, connected.made.machines[peer].far, PAYLOAD_BYTES)
            assert found == Handshake(limit, limit)
            assert _whole(wire) > 2 * PAYLOAD_BYTES // limit


def test_nothing_leaves_or_enters_in_clear_without_charon(connected: Connected) -> None:
    """The last test of a row: it ends with no fence, where everything leaves in clear. That is the control."""
    row, made, hub = connected.row, connected.made, connected.made.hub
    all_that_cross = 4 if row.fragments else 2
    _require_all_kinds(connected, all_that_cross)
    with row.wan.wire(made.nodes) as wire:
        _end_charon_under_traffic(connected)
        summary = wire.summary()
        summary.require_protected()
        assert summary.esp > 0
        assert not hub.node.protect_policies()
        _require_fences_at_the_hub(connected, wire)
        hub.lower_firewall()
        others = [cloud for cloud in made.clouds.values() if cloud is not hub]
        for cloud in others:
            cloud.node.end_charon(signal.SIGTERM)
        wire.unprotected()
        _require_all_kinds(connected, 0, "the peers have both fences")
        _require_in_clear(wire, {UNPROTECTED[peer] for peer in row.kinds})
    if row.has_nat:
        return  # no NAT has a route for what is in clear
    for cloud in others:
        wait_until(lambda: cloud.node.dropped().get(UNPROTECTED_IN, 0) >= 2, 20, "the counter")  # noqa: B023
        cloud.lower_firewall()
    _require_all_kinds(connected, 0, "received by none for their block policies")
    for cloud in others:
        cloud.node.remove_blocks(cloud.node.blocks())
    _require_all_kinds(connected, all_that_cross, "no fence anywhere")


def _require_in_clear(wire: Wire, wanted: set[tuple[int, int]]) -> None:
    """The control: so much is seen."""
    seen = set[tuple[int, int]]()

    def complete() -> bool:
        seen.update(wire.unprotected())
        return wanted <= seen

    wait_until(complete, 20, "what is in clear")


def _end_charon_under_traffic(connected: Connected) -> None:
    with ExitStack() as stack:
        for machine in connected.made.machines.values():
            near = Machine(machine.netns)
            before = near.frames("rx")
            stack.enter_context(near.pinging(machine.far))
            wait_until(lambda: near.frames("rx") > before + PINGS, 20, "answers")  # noqa: B023
        connected.made.hub.node.end_charon(signal.SIGTERM)
        time.sleep(QUIET_SECONDS)


def _require_fences_at_the_hub(connected: Connected, wire: Wire) -> None:
    """Each of them suffices, and in tunnel mode also the route to the inner ends. It ends with the table alone."""
    row, hub = connected.row, connected.made.hub

    def require_clean(what: str) -> None:
        """Of frames of all kinds nothing leaves in clear, and nothing arrives."""
        _require_all_kinds(connected, 0, what)
        summary = wire.summary()
        assert summary.clean, f"{what}\n{summary.table()}"

    require_clean("all that there is")
    if row.esp_mode == "Tunnel":
        hub.lower_firewall()
        hub.node.remove_blocks(hub.node.blocks())
        require_clean("the inner route alone")
        hub.fence()
        _send_inner_ends_to_the_wire(connected)
        require_clean("both fences")
    hub.lower_firewall()
    require_clean("block policies alone")
    hub.raise_firewall()
    hub.node.remove_blocks(hub.node.blocks())
    require_clean("the nftables table alone")
    wait_until(lambda: hub.node.dropped().get(UNPROTECTED_OUT, 0) >= 2 * len(row.kinds), 20, "the counter")


def _send_inner_ends_to_the_wire(connected: Connected) -> None:
    """As if somebody had changed the routes that end in a device of ours."""
    made = connected.made
    for connection in made.hub.plan.connections:
        (peer,) = (p for p in connected.row.kinds if connection.ends.remote_identity == f"gw-{p}.cloud-{p}")
        ends, via = connection.tunnel_ends, connected.row.wan.next_hop(made.clouds[peer].node)
        sh(f"ip route replace {ends.remote}/32 via {via} dev eth0 src {ends.local}", made.hub.node.name)


def _require_all_kinds(connected: Connected, count: int, what: str = "") -> None:
    """So many of four frames arrive at each peer: UDP and not IP, small and large. Also attempts to connect."""
    addresses = {peer: machine.far for peer, machine in connected.made.machines.items()}
    for peer, (near, _) in connected.pairs.items():
        inside(near.netns, lambda: _attempt_to_connect(addresses[peer]))  # noqa: B023
    sent = {p: [*_frames_to(*pair, addresses[p])] for p, pair in connected.pairs.items()}
    assert _arrive(connected, sent, count) == connected.each(count), what


def _frames_to(near: Machine, far: Machine, address: str) -> Iterator[bytes]:
    for size in (84, MACHINE_MTU):
        yield _not_ip(near, far, size)
        packet = frames.ipv4_udp("10.30.9.9", address, 9, 9, bytes(size - 28))
        yield frames.frame(far.mac, near.mac, packet)


def _attempt_to_connect(address: str) -> None:
    with socket.socket() as client, suppress(BlockingIOError):
        client.setblocking(False)
        client.connect((address, 9))
