"""Three clouds in one guest. Two of them reach each other only through the origin, which hands their frames on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest

from isthmus.agent import gauges
from isthmus.model.node.drops import Drop
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, PROBE_REQUEST_MAC, member_behind_peer, network_of_meter
from isthmus.telemetry.metrics import RELAYED_BYTES, RELAYED_PACKETS, Family, Metrics
from tests.kernel.bridged import GATEWAY, Cloud
from tests.kernel.frames import BROADCAST, arp, frame
from tests.kernel.openvswitch import Machine
from tests.kernel.star import COUNT, NETWORK, Star, heard, host, number, numbered, plugged, probe
from tests.testbed.host.process import wait_until

STAR = Star("bc")
HOSTS = "abc"
FLOOD = 2000


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cloud]]:
    with STAR.built(tmp_path_factory.mktemp("members")) as made:
        yield made


@pytest.fixture(scope="module")
def machines(members: dict[str, Cloud]) -> Iterator[dict[str, Machine]]:
    with plugged(members) as made:
        yield made


def test_probes_of_all_paths_come_back(members: dict[str, Cloud]) -> None:
    assert probe(members["a"]) == {"cloud-b": 1, "cloud-c": 1}
    assert probe(members["b"]) == {"cloud-a": 1, "cloud-a/3": 1}
    assert probe(members["c"]) == {"cloud-a": 1, "cloud-a/2": 1}


def test_all_machines_reach_each_other(machines: dict[str, Machine]) -> None:
    for near in HOSTS:
        for far in {*HOSTS} - {near}:
            assert machines[near].ping(host(far)) == 3, f"{near} to {far}"


@pytest.mark.parametrize("source", HOSTS)
def test_each_broadcast_arrives_once_at_each_other_member_and_never_returns(
    machines: dict[str, Machine], source: str
) -> None:
    sent = numbered(machines[source], source)
    others = sorted({*HOSTS} - {source})
    with machines[source].listening() as own, machines[others[0]].listening() as first:
        with machines[others[1]].listening() as second:
            machines[source].send(*sent)
            for received in (first, second):
                assert heard(received, sent) == Counter(sent)
        assert not {*own(0.2)} & {*sent}


def test_frames_between_receivers_touch_no_machine_of_the_origin(
    members: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    """Once an address is known; the origin neither learns it from them nor looks it up."""
    b, c = machines["b"], machines["c"]
    assert b.ping("10.20.0.13") == 3
    sent = numbered(b, "b", c.mac)
    with machines["a"].listening() as at_origin, c.listening() as received:
        b.send(*sent)
        assert heard(received, sent) == Counter(sent)
        assert not {*at_origin(0.2)} & {*sent}
    learned = members["b"].switch.ofctl("dump-flows br-cloud table=5")
    (line,) = (line for line in learned.splitlines() if f"dl_dst={c.mac}" in line)
    assert f"set_field:{member_behind_peer(number('c')):#x}/0xffff->reg2" in line


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
    dropped, numbers = _dropped_probes(members["a"]) - before, members["a"].database.view().numbers.members
    # What cloud-c answers to those that its own meter lets pass comes back through the meter of cloud-c, and just fits.
    assert dropped[numbers["cloud-c"]] < dropped[numbers["cloud-b"]] / 10
    wait_until(lambda: probe(members["c"]) == {"cloud-a": 1, "cloud-a/2": 1}, 30, "all probes of cloud-c")


def _dropped_probes(cloud: Cloud) -> Counter[int]:
    """What the meters of probes have dropped, by their numbers, which are those of the peers."""
    counted = re.findall(r"meter:(\d+) .*\n0: packet_count:(\d+) ", cloud.switch.ofctl("meter-stats br-cloud"))
    return Counter({int(meter): int(packets) for meter, packets in counted if not network_of_meter(int(meter))})


def test_what_the_origin_does_not_hand_on_ends_there(members: dict[str, Cloud], machines: dict[str, Machine]) -> None:
    """Nothing else changes for anybody."""
    a = members["a"]
    a.install((STAR.network("a", relaying=False),))
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
    sent = numbered(b, "b", c.mac)
    before = _relayed(members["a"])
    with c.listening() as received:
        b.send(*sent)
        assert heard(received, sent) == Counter(sent)
    assert sum(probe(members["b"])["cloud-a/3"] for _ in range(COUNT)) > COUNT / 2
    after = _relayed(members["a"])
    there, back = (after[pair] - before[pair] for pair in (("b", "c"), ("c", "b")))
    # Machines send a few frames of their own.
    others = there["packets"] - len(sent)
    assert 0 <= others < COUNT / 2
    assert others * 42 <= there["bytes"] - sum(map(len, sent)) <= others * 1514
    assert back["packets"] < COUNT / 2
