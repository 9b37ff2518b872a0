"""Three clouds in one guest. Two of them reach each other only through the origin, which hands their frames on."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.adapters.openvswitch.ovsdb import OvsdbDatabase
from isthmus.agent import gauges
from isthmus.core.node.networks import NetworkPlan, plan_network
from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink, AttachmentSpec, MemberPath, NodePort
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import NetworkIdentity
from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import PlannedNetwork
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REQUEST_MAC, member_behind_peer, network_of_meter
from isthmus.model.node.switch import Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from isthmus.telemetry.metrics import RELAYED_BYTES, RELAYED_PACKETS, Family, Metrics
from tests.kernel.bridged import GATEWAY, GATEWAY_NAME, Cloud
from tests.kernel.frames import BROADCAST, arp, frame, ipv4_udp
from tests.kernel.openvswitch import Machine, Switch, inside, sh
from tests.testbed.host.process import wait_until

NETWORK = NetworkIdentity(cloud_id="cloud-a", network_id="00000000-0000-4000-8000-000000000001")
PORT = NodePort(node="gw", port_id="00000000-0000-4000-8000-000000000002", mac="fa:16:3e:00:00:01")
NUMBERS = {"b": 2, "c": 3}
ADDRESSES = {"b": ("192.0.2.1", "192.0.2.2"), "c": ("198.51.100.1", "198.51.100.2")}
"""Of the tunnel to each receiver, the origin's end and the receiver's."""
TUNNEL_IDS = {"b": (0x100000, 0x100001), "c": (0x180000, 0x180001)}
"""On that tunnel, for frames to and from the origin, and the other receiver."""
HOSTS = {"a": 11, "b": 12, "c": 13}
TAG = 5
COUNT, FLOOD = 20, 2000


def tunnels(cloud: str) -> dict[str, TunnelPort]:
    """The tunnel ports of a cloud's gateway, by the peer's name."""
    if cloud == "a":
        return {peer: _tunnel(peer, *ADDRESSES[peer]) for peer in NUMBERS}
    return {"a": _tunnel("a", *reversed(ADDRESSES[cloud]))}


def _tunnel(peer: str, local: str, remote: str) -> TunnelPort:
    return TunnelPort(names.tunnel_port(f"cloud-{peer}", GATEWAY_NAME), Vxlan(14789), TunnelEnds(local, remote))


def plan(cloud: str, *, relaying: bool = True) -> NetworkPlan:
    """What the planner makes of the cloud's Attachment."""
    found = tunnels(cloud)
    links = []
    for peer, tunnel in found.items():
        receiver = peer if cloud == "a" else cloud
        (other,) = NUMBERS.keys() - {receiver}
        path = MemberPath(number=NUMBERS[other], tunnel_id=TUNNEL_IDS[receiver][1])
        link = AttachmentLink(
            cloud_id=f"cloud-{peer}",
            tunnel_id=TUNNEL_IDS[receiver][0],
            gateway=PeerGateway(name=GATEWAY_NAME, address=tunnel.ends.remote),
            number=NUMBERS[peer] if cloud == "a" else None,
            members=(path,) if relaying else (),
        )
        links.append(link)
    spec = AttachmentSpec(
        origin=NETWORK,
        role="Origin" if cloud == "a" else "Receiver",
        active_node=PORT.node,
        ports=(PORT,),
        links=tuple(links),
        gateway_addresses=(GATEWAY,),
    )
    attachment = Attachment(metadata=ObjectMeta(name=NETWORK.link_name), spec=spec)
    made = plan_network(PORT.node, attachment, {tunnel.name: tunnel for tunnel in found.values()}, lambda _: False)
    assert not made.problems
    return made


def network(cloud: str, *, relaying: bool = True) -> PlannedNetwork:
    """The same, what flows are rendered from."""
    made = plan(cloud, relaying=relaying).network
    assert made is not None
    return made


def _cloud(name: str, directory: Path) -> Cloud:
    switch, patch = Switch(f"node-{name}", directory / name), plan(name).patch
    assert patch is not None
    found = tunnels(name)
    gateways = {f"cloud-{p}": PeerGateway(name=GATEWAY_NAME, address=t.ends.remote) for p, t in found.items()}
    ports, database = Ports(frozenset(found.values()), frozenset({patch})), OvsdbDatabase(switch.socket, 300)
    peer = next(iter(gateways))
    cloud = Cloud(name, switch, database, OvsOfctl(switch.socket), ports, (network(name),), peer, gateways)
    database.ensure_bridge()
    database.apply(ports, ())
    switch.vsctl(f"set Port {patch.integration_name} tag={TAG}")
    cloud.install()
    return cloud


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cloud]]:
    """The clouds by name; the receivers' nodes have no route to each other. No agents, no ESP."""
    directory = tmp_path_factory.mktemp("members")
    sh("\n".join(f"ip netns add node-{name}; ip -n node-{name} link set lo up" for name in HOSTS))
    for name, (near, far) in ADDRESSES.items():
        sh(
            f"ip link add wan-{name} netns node-a type veth peer name wan netns node-{name}\n"
            f"ip -n node-a addr add {near}/24 dev wan-{name}; ip -n node-{name} addr add {far}/24 dev wan\n"
            f"ip -n node-a link set wan-{name} up; ip -n node-{name} link set wan up"
        )
    made = {name: _cloud(name, directory) for name in HOSTS}
    yield made
    for cloud in made.values():
        cloud.openflow.close()
        cloud.database.close()
        cloud.switch.stop()
    sh("\n".join(f"ip netns delete node-{name}" for name in HOSTS))


@pytest.fixture(scope="module")
def machines(members: dict[str, Cloud]) -> Iterator[dict[str, Machine]]:
    plugged = {
        name: cloud.switch.attach_port(f"vm-{name}", f"10.20.0.{HOSTS[name]}", TAG) for name, cloud in members.items()
    }
    yield plugged
    sh("\n".join(f"ip netns delete vm-{name}" for name in plugged))


def _numbered(sender: Machine, host: int, destination: str = BROADCAST) -> list[bytes]:
    datagrams = (ipv4_udp(f"10.20.0.{host}", "10.20.0.255", 9, 9, struct.pack("!I", n)) for n in range(COUNT))
    return [frame(destination, sender.mac, datagram) for datagram in datagrams]


def _heard(received: Callable[[float], list[bytes]], sent: list[bytes]) -> Counter[bytes]:
    """How often each of these frames arrives; all are waited for, and half a second for more."""
    found = Counter[bytes]()

    def complete() -> bool:
        found.update(frame for frame in received(0.5) if frame in sent)
        return found.total() >= len(sent)

    with suppress(TimeoutError):
        wait_until(complete, 20, "the frames")
    return found


def probe(cloud: Cloud) -> dict[str, int]:
    """How many probes of each path come back, by the member's name."""
    macs = {link.member: link.probe_mac for link in cloud.networks[0].links}
    results = inside(cloud.switch.netns, lambda: PacketProbe().exchange(macs, 3))
    return {name: results[name].received for name in macs}


def test_probes_of_all_paths_come_back(members: dict[str, Cloud]) -> None:
    assert probe(members["a"]) == {"cloud-b": 1, "cloud-c": 1}
    assert probe(members["b"]) == {"cloud-a": 1, "cloud-a/3": 1}
    assert probe(members["c"]) == {"cloud-a": 1, "cloud-a/2": 1}


def test_all_machines_reach_each_other(machines: dict[str, Machine]) -> None:
    for near in HOSTS:
        for far in HOSTS.keys() - {near}:
            assert machines[near].ping(f"10.20.0.{HOSTS[far]}") == 3, f"{near} to {far}"


@pytest.mark.parametrize("source", HOSTS)
def test_each_broadcast_arrives_once_at_each_other_member_and_never_returns(
    machines: dict[str, Machine], source: str
) -> None:
    sent = _numbered(machines[source], HOSTS[source])
    others = sorted(HOSTS.keys() - {source})
    with machines[source].listening() as own, machines[others[0]].listening() as first:
        with machines[others[1]].listening() as second:
            machines[source].send(*sent)
            for received in (first, second):
                assert _heard(received, sent) == Counter(sent)
        assert not {*own(0.2)} & {*sent}


def test_frames_between_receivers_touch_no_machine_of_the_origin(
    members: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    """Once an address is known; the origin neither learns it from them nor looks it up."""
    b, c = machines["b"], machines["c"]
    assert b.ping("10.20.0.13") == 3
    sent = _numbered(b, HOSTS["b"], c.mac)
    with machines["a"].listening() as at_origin, c.listening() as received:
        b.send(*sent)
        assert _heard(received, sent) == Counter(sent)
        assert not {*at_origin(0.2)} & {*sent}
    learned = members["b"].switch.ofctl("dump-flows br-cloud table=5")
    (line,) = (line for line in learned.splitlines() if f"dl_dst={c.mac}" in line)
    assert f"set_field:{member_behind_peer(NUMBERS['c']):#x}/0xffff->reg2" in line


def test_claim_of_the_gateway_is_dropped_and_counted_at_the_origin(
    members: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    b, c, a = machines["b"], machines["c"], members["a"]
    cloud, numbers = members["b"], a.database.view().numbers
    claim = frame(BROADCAST, b.mac, arp(2, b.mac, GATEWAY, "10.20.0.50"))
    key = (numbers.networks[a.networks[0].patch_port], numbers.members["cloud-b"], Drop.GATEWAY)
    before = a.openflow.view().dropped.get(key, 0)
    # Cloud b does not keep its rules.
    guards = f"table=2,priority=104,arp,reg0={cloud.key(0)[0]:#x},reg1=0,arp_spa={GATEWAY}"
    cloud.switch.ofctl(f"--strict del-flows br-cloud '{guards}'")
    try:
        with c.listening() as received:
            b.send(claim)
            assert claim not in received(0.5)
        # To the origin itself, and to be handed on.
        wait_until(lambda: a.openflow.view().dropped.get(key, 0) == before + 2, 20, "the counter")
    finally:
        cloud.new_agent()
        cloud.install()


def test_flood_of_probes_by_a_member_leaves_probes_of_others_alone(members: dict[str, Cloud]) -> None:
    b, path = members["b"], members["b"].networks[0].links[1]
    sent = frame(PROBE_REQUEST_MAC, path.probe_mac, f"{PROBE_ETHERTYPE:04x}")
    tunnel = b.database.view().ofport[path.tunnel_port]
    actions = f"set_field:{path.tunnel_id:#x}->tun_id,output:{tunnel}"
    flood = b.switch.directory / "flood"
    flood.write_text(f"packet-out in_port=controller,packet={sent.hex()},actions={actions}\n" * FLOOD)
    before = _dropped_probes(members["a"])
    b.switch.ofctl(f"bundle br-cloud {flood}")
    for _ in range(3):  # also while a slow machine still handles the flood
        wait_until(lambda: probe(members["c"])["cloud-a"] == 1, 30, "a probe of cloud-c to come back")
    dropped, number = _dropped_probes(members["a"]) - before, members["a"].database.view().numbers.members
    # What cloud-c answers to those that its own meter lets pass comes back through the meter of cloud-c, and just fits.
    assert dropped[number["cloud-c"]] < dropped[number["cloud-b"]] / 10
    wait_until(lambda: probe(members["c"]) == {"cloud-a": 1, "cloud-a/2": 1}, 30, "all probes of cloud-c")


def _dropped_probes(cloud: Cloud) -> Counter[int]:
    """What the meters of probes have dropped, by their numbers, which are those of the peers."""
    counted = re.findall(r"meter:(\d+) .*\n0: packet_count:(\d+) ", cloud.switch.ofctl("meter-stats br-cloud"))
    return Counter({int(meter): int(packets) for meter, packets in counted if not network_of_meter(int(meter))})


def test_what_the_origin_does_not_hand_on_ends_there(members: dict[str, Cloud], machines: dict[str, Machine]) -> None:
    """Nothing else changes for anybody."""
    a = members["a"]
    a.install((network("a", relaying=False),))
    try:
        wait_until(lambda: probe(members["b"]) == {"cloud-a": 1, "cloud-a/3": 0}, 30, "the path to end")
        assert machines["b"].ping("10.20.0.13") == 0
        assert machines["b"].ping("10.20.0.11") == 3
    finally:
        a.install()
    wait_until(lambda: probe(members["b"])["cloud-a/3"] == 1, 30, "the path")


def test_what_is_handed_on_is_not_counted_as_the_origins(
    members: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    a = members["a"]
    assert machines["b"].ping("10.20.0.13") == 3

    def counted() -> dict[tuple[int, int], int]:
        a.switch.revalidate()
        return {key: found.received.packets + found.sent.packets for key, found in a.openflow.view().traffic.items()}

    before = counted()
    assert machines["b"].ping("10.20.0.13", 50) == 50
    assert max(after - before[key] for key, after in counted().items()) < 20


def _relayed(a: Cloud) -> dict[tuple[str, str], Counter[str]]:
    """What the origin's metrics have of frames between the receivers, by the names of sender and receiver."""
    a.switch.revalidate()
    a.new_agent()
    a.install()  # lists all flows
    metrics = Metrics()
    gauges.publish_relayed(metrics, a.flows.relayed(a.plan()))

    def value(family: Family, sender: str, receiver: str) -> int:
        labels = (NETWORK.link_name, f"cloud-{sender}", f"cloud-{receiver}")
        return int(metrics.values(family).get(labels, 0))

    families = {"packets": RELAYED_PACKETS, "bytes": RELAYED_BYTES}
    return {
        pair: Counter({unit: value(family, *pair) for unit, family in families.items()})
        for pair in (("b", "c"), ("c", "b"))
    }


def test_metrics_of_what_is_handed_on_have_the_frames_of_machines_by_sender_and_receiver(
    members: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    b, c = machines["b"], machines["c"]
    assert b.ping("10.20.0.13") == 3
    sent = _numbered(b, HOSTS["b"], c.mac)
    before = _relayed(members["a"])
    with c.listening() as received:
        b.send(*sent)
        assert _heard(received, sent) == Counter(sent)
    assert sum(probe(members["b"])["cloud-a/3"] for _ in range(COUNT)) > COUNT / 2
    after = _relayed(members["a"])
    there, back = (after[pair] - before[pair] for pair in (("b", "c"), ("c", "b")))
    # Machines send a few frames of their own.
    others = there["packets"] - len(sent)
    assert 0 <= others < COUNT / 2
    assert others * 42 <= there["bytes"] - sum(map(len, sent)) <= others * 1514
    assert back["packets"] < COUNT / 2
