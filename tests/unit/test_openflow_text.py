"""Parsing the output of ovs-ofctl, and writing bundles."""

from __future__ import annotations

from isthmus.adapters.openvswitch.flowtext import (
    bundle,
    parse_active,
    parse_drops,
    parse_flows,
    parse_meters,
    parse_over_bandwidth,
    parse_relayed,
    parse_traffic,
)
from isthmus.model.node.drops import Drop
from isthmus.model.node.flows import BandwidthMeter, FlowChanges, LinkTraffic, PacketMeter, SetChange, Traffic
from isthmus.model.node.pipeline import Direction
from tests.golden.test_flows import NUMBERS, rendered

DUMP = """\
OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x1571000000050000, duration=12.5s, table=0, n_packets=7, n_bytes=700, idle_age=1, priority=10,in_port=4 actions=goto_table:1
 cookie=0x1571000000050000, duration=12.5s, table=1, n_packets=3, n_bytes=300, idle_age=1, hard_age=2, priority=10,tun_id=0x100000,in_port=4 actions=set_field:0x5->reg0,set_field:0x3->reg1,goto_table:2
 cookie=0x1571000000050000, duration=12.5s, table=7, n_packets=5, n_bytes=500, priority=10,reg0=0x5,reg1=0,reg2=0x3 actions=set_field:0x100000->tun_id,output:4
 cookie=0x0, duration=12.5s, table=7, n_packets=9, n_bytes=900, idle_timeout=60, send_flow_rem priority=10,reg0=0x5,reg1=0,reg2=0x4 actions=drop
"""  # noqa: E501

TABLES = """\
OFPST_TABLE reply (OF1.5) (xid=0x2):
  table 0:
    active=4000, lookup=0, matched=0

  table 1: ditto

  table 2:
    active=0, lookup=0, matched=0

  tables 3...8: ditto

  table 9:
    active=1, lookup=3, matched=2

  tables 10...253:
    active=0, lookup=0, matched=0
"""

METERS = """\
OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):
meter=2 pktps burst stats bands=
type=drop rate=200 burst_size=400

meter=7 kbps stats bands=
type=drop rate=1000

meter=4294770691 kbps burst stats bands=
type=drop rate=100000 burst_size=10000
"""

DROPS = """\
OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x1571000000050000, duration=12.5s, table=10, n_packets=7, n_bytes=700, idle_age=1, priority=10,reg0=0x5,reg1=0,reg4=0x4 actions=drop
 cookie=0x1571000000050000, duration=12.5s, table=10, n_packets=0, n_bytes=0, idle_age=1, priority=10,reg0=0x5,reg1=0,reg4=0x5 actions=drop
 cookie=0x1571000000050000, duration=12.5s, table=10, n_packets=10, n_bytes=700, priority=10,reg0=0x5,reg1=0x3,reg4=0x6 actions=drop
 cookie=0x1571000000050000, duration=12.5s, table=7, n_packets=5, n_bytes=500, priority=10,reg0=0x5,reg1=0,reg2=0x3 actions=set_field:0x100000->tun_id,output:4
 cookie=0x1571000000000000, duration=12.5s, table=10, n_packets=9, n_bytes=900, priority=0 actions=drop
 cookie=0x0, duration=12.5s, table=10, n_packets=9, n_bytes=900, priority=10,reg0=0x5,reg1=0x3,reg4=0x2 actions=drop
 cookie=0x1571000000050000, duration=12.5s, table=10, n_packets=9, n_bytes=900, priority=10,reg0=0x5,reg1=0x3,reg4=0x9 actions=drop
"""  # noqa: E501

METER_STATISTICS = """\
OFPST_METER reply (OF1.5) (xid=0x2):
meter:327683 flow_count:1 packet_in_count:4000 byte_in_count:400000 duration:0.058s bands:
0: packet_count:2500 byte_count:250000

meter:327680 flow_count:1 packet_in_count:40 byte_in_count:4000 duration:0.058s bands:
0: packet_count:0 byte_count:0

meter:393216 flow_count:1 packet_in_count:40 byte_in_count:4000 duration:0.058s bands:
0: packet_count:30 byte_count:0

meter:458751 flow_count:1 packet_in_count:40 byte_in_count:4000 duration:0.058s bands:
0: packet_count:12 byte_count:0

meter:3 flow_count:2 packet_in_count:400 byte_in_count:40000 duration:0.026s bands:
0: packet_count:17 byte_count:1000

meter:4294770691 flow_count:4 packet_in_count:400 byte_in_count:40000 duration:0.026s bands:
0: packet_count:19 byte_count:1000

meter:4294836227 flow_count:1 packet_in_count:400 byte_in_count:40000 duration:0.026s bands:
0: packet_count:23 byte_count:1000
"""


def test_flows_are_listed_by_cookie() -> None:
    assert parse_flows(DUMP) == {
        0x1571000000050000: {
            "table=0,priority=10,in_port=4 actions=goto_table:1",
            "table=1,priority=10,tun_id=0x100000,in_port=4 "
            "actions=set_field:0x5->reg0,set_field:0x3->reg1,goto_table:2",
            "table=7,priority=10,reg0=0x5,reg1=0,reg2=0x3 actions=set_field:0x100000->tun_id,output:4",
        },
        0: {"table=7,idle_timeout=60, send_flow_rem priority=10,reg0=0x5,reg1=0,reg2=0x4 actions=drop"},
    }


def test_traffic_is_that_of_our_flows() -> None:
    assert parse_traffic(DUMP) == {(5, 3): LinkTraffic(Traffic(5, 500), Traffic(3, 300))}


def test_what_is_handed_on_is_counted_without_probes_by_network_sender_and_receiver() -> None:
    """Of the flows that are rendered, metered ones."""
    sets = rendered("limited-at-origin")
    flows = [(cookie, flow) for cookie, found in sets.items() for flow in sorted(found.flows)]
    counted = {flow: (number, 100 * number) for number, (_, flow) in enumerate(flows, 1)}
    b, c = NUMBERS.members["cloud-b"], NUMBERS.members["cloud-c"]

    def listed(*unused: str) -> str:
        lines = []
        for cookie, flow in flows:
            table, _, rest = flow.partition(",")
            packets, octets = (0, 0) if flow in unused else counted[flow]
            counters = f"n_packets={packets}, n_bytes={octets}, idle_age=1"
            lines.append(f" cookie={cookie:#x}, duration=12.5s, {table}, {counters}, {rest}\n")
        return "".join(lines)

    red = NUMBERS.networks["red"]
    start = f"table=7,priority=10,reg0={red:#x},reg1="
    (there,) = (flow for flow in counted if flow.startswith(f"{start}{b:#x},reg2={c:#x} "))
    (back,) = (flow for flow in counted if flow.startswith(f"{start}{c:#x},reg2={b:#x} "))
    assert parse_relayed(listed()) == {(red, b, c): Traffic(*counted[there]), (red, c, b): Traffic(*counted[back])}
    assert parse_relayed(listed(back)) == {(red, b, c): Traffic(*counted[there])}
    assert parse_relayed(listed().replace(" cookie=0x1571", " cookie=0x1573")) == {}


def test_drops_are_those_of_the_guard_and_of_storm_meters() -> None:
    """Not those of flows that are not ours, of reasons that we do not know, and of the meters of probes.

    What the meter in front of answered ARP requests drops is of the same storm.
    """
    assert parse_drops(DROPS, METER_STATISTICS) == {
        (5, 0, Drop.CLOUD_SERVICE): 7,
        (5, 3, Drop.GATEWAY): 10,
        (5, 3, Drop.STORM): 2500,
        (6, 0, Drop.STORM): 42,
    }


def test_what_was_more_than_a_peer_may_use_is_counted_by_direction() -> None:
    assert parse_over_bandwidth(METER_STATISTICS) == {(3, Direction.SENT): 19, (3, Direction.RECEIVED): 23}


def test_tables_with_flows_are_found() -> None:
    assert parse_active(TABLES) == {0: 4000, 1: 4000, 9: 1}
    named = TABLES.replace("table 0:", 'table 0 ("classifier"):')
    assert parse_active(named) == parse_active(TABLES), "earlier releases write the names of tables"


def test_meters_of_our_form_are_recognised() -> None:
    assert parse_meters(METERS) == (
        frozenset({PacketMeter(2, 200, 400), BandwidthMeter(4294770691, 100_000, 10_000)}),
        frozenset({7}),
    )


def test_a_bundle_deletes_before_it_adds() -> None:
    changes = (
        SetChange(
            0x1571000000050000, None, (), ("table=7,priority=10,reg0=0x5",), ("table=0,priority=1 actions=drop",)
        ),
        SetChange(7, None, (0, 9), forget=((0x1572000000050003, 2**64 - 1),)),
    )
    assert bundle(FlowChanges(changes)).splitlines() == [
        "delete_strict cookie=0x1571000000050000/-1,table=7,priority=10,reg0=0x5",
        "delete cookie=0x7/-1,table=0",
        "delete cookie=0x7/-1,table=9",
        "delete cookie=0x1572000000050003/0xffffffffffffffff,table=5",
        "add cookie=0x1571000000050000,table=0,priority=1 actions=drop",
    ]


def test_flows_that_were_not_learned_by_ours_differ_in_a_bit_of_the_owner() -> None:
    lines = bundle(FlowChanges(delete_foreign_learned=True)).splitlines()
    patterns = [line.removeprefix("delete cookie=").removesuffix(",table=5").split("/") for line in lines]

    def deleted(cookie: int) -> bool:
        return any(cookie & int(mask, 16) == int(value, 16) for value, mask in patterns)

    assert not deleted(0x1572000000050003)
    assert all(deleted(0x1572000000050003 ^ 1 << bit) for bit in range(48, 64))
    assert deleted(0)
