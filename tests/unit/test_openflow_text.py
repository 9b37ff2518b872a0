"""Parsing the output of ovs-ofctl."""

from __future__ import annotations

from isthmus.adapters.openvswitch.openflow import parse_flows, parse_meters
from isthmus.model.node.flows import Meter, Traffic

DUMP = """\
OFPST_FLOW reply (OF1.5) (xid=0x2):
 cookie=0x157121b3046e0cd7, duration=12.5s, table=0, n_packets=7, n_bytes=700, idle_age=1, priority=10,in_port=4 actions=set_field:0x1->reg1,goto_table:1
 cookie=0x157121b3046e0cd7, duration=12.5s, table=1, n_packets=3, n_bytes=300, priority=10,tun_id=0x100000,in_port=4 actions=set_field:0x3->reg0,goto_table:2
 cookie=0x1572000000000003, duration=2.1s, table=5, n_packets=9, n_bytes=900, hard_timeout=300, priority=10,reg0=0x3,dl_dst=fa:16:3e:00:00:01 actions=load:0x4->NXM_NX_REG2[0..15]
 cookie=0x157121b3046e0cd7, duration=12.5s, table=7, n_packets=5, n_bytes=500, priority=10,reg0=0x3,reg2=0x4 actions=set_field:0x100000->tun_id,output:4
 cookie=0x0, duration=12.5s, table=0, n_packets=0, n_bytes=0, priority=0 actions=drop
"""  # noqa: E501

METERS = """\
OFPST_METER_CONFIG reply (OF1.5) (xid=0x2):
meter=2 pktps burst stats bands=
type=drop rate=200 burst_size=400

meter=7 kbps burst stats bands=
type=drop rate=1000 burst_size=400
"""


def test_flows_are_counted_by_cookie_and_links_by_traffic() -> None:
    view = parse_flows(DUMP)
    assert view.count_by_cookie == {0x157121B3046E0CD7: 3, 0x1572000000000003: 1, 0: 1}
    assert view.sent == {(3, 4): Traffic(5, 500)}
    assert view.received == {(4, 0x100000): Traffic(3, 300)}


def test_our_meters_are_recognised() -> None:
    assert parse_meters(METERS) == {Meter(2, 200, 400)}
