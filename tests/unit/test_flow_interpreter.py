"""What the interpreter of flows refuses, and what cannot be seen on an Open vSwitch of its own."""

from __future__ import annotations

import pytest

from tests.flowinterpreter.fields import Unknown
from tests.flowinterpreter.flowtable import Ambiguous, parse_flow
from tests.flowinterpreter.headers import headers
from tests.flowinterpreter.switch import Sent, Switch, TooDeep
from tests.kernel.frames import BROADCAST, arp, frame

MACHINE = "fa:16:3e:00:00:01"
REQUEST = frame(BROADCAST, MACHINE, arp(1, MACHINE, "10.20.0.1", "10.20.0.2"))
LEARN = (
    "learn(table=5,hard_timeout=300,priority=10,cookie=0x7,limit=2,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],"
    "load:0x1->NXM_NX_REG3[0])"
)


def _switch(*flows: str, closed: tuple[int, ...] = ()) -> Switch:
    return Switch(((1, flow) for flow in flows), closed)


@pytest.mark.parametrize(
    "flow",
    [
        "table=0,priority=1,ct_state=+trk actions=drop",
        "table=0,priority=1,sctp actions=drop",
        "table=0,priority=1,arp_spa=10.20.0.1 actions=drop",
        "table=0,priority=1,udp,nd_target=fe80::1 actions=drop",
        "table=0,priority=1,tp_dst=67 actions=drop",
        "table=0,priority=1,reg1=0x100000000 actions=drop",
        "table=0,priority=1,dl_src=cloud actions=drop",
        "table=0,priority=1,idle_timeout=3 actions=drop",
        "table=0,priority=1 actions=NORMAL",
        "table=0,priority=1 actions=ct(commit)",
        "table=0,priority=1 actions=output:NXM_NX_REG1[]",
        "table=0,priority=1 actions=resubmit(3,4)",
        "table=0,priority=1 actions=clone(output:1)",
        "table=0,priority=1 actions=goto_table:1,output:2",
        "table=0,priority=1 actions=set_field:0x5/0x5->reg1",
        "table=0,priority=1 actions=move:NXM_NX_REG1[0..7]->NXM_NX_REG2[]",
        "table=0,priority=1 actions=learn(table=5,idle_timeout=3,NXM_NX_REG0[])",
        "table=0,priority=1 actions=learn(table=5,output:NXM_NX_REG0[])",
        "cookie=1,table=0,priority=1 actions=drop",
    ],
)
def test_what_is_not_known_is_refused(flow: str) -> None:
    with pytest.raises(Unknown):
        parse_flow(flow)


@pytest.mark.parametrize(
    "actions", ["set_field:10.20.0.9->nw_src", "pop_mpls:0x0800", "push_mpls:0x8848", "set_field:1->in_port"]
)
def test_what_a_frame_does_not_have_cannot_be_changed(actions: str) -> None:
    with pytest.raises(Unknown):
        _switch(f"table=0,priority=1 actions={actions}").receive(REQUEST, 1)


def test_flows_of_one_priority_that_both_match_must_do_the_same() -> None:
    first, second = "table=0,priority=1,in_port=1 actions=output:2", "table=0,priority=1,arp actions=output:{}"
    assert _switch(first, second.format(2)).receive(REQUEST, 1) == [Sent(2, REQUEST)]
    with pytest.raises(Ambiguous):
        _switch(first, second.format(3)).receive(REQUEST, 1)
    higher = "table=0,priority=2 actions=drop"
    assert _switch(first, second.format(3), higher).receive(REQUEST, 1) == []


def test_a_frame_does_not_leave_where_it_entered_unless_by_name() -> None:
    switch = _switch("table=0,priority=1 actions=output:1,output:2,IN_PORT")
    assert [sent.port for sent in switch.receive(REQUEST, 1)] == [2, 1]


def test_tables_that_lead_into_each_other_end() -> None:
    with pytest.raises(TooDeep):
        _switch("table=0,priority=1 actions=resubmit(,0)").receive(REQUEST, 1)


def test_a_closed_meter_drops_the_frame_and_all_that_would_follow() -> None:
    flows = "table=0,priority=1 actions=output:2,resubmit(,1),output:3", "table=1,priority=1 actions=meter:9,output:4"
    assert [sent.port for sent in _switch(*flows).receive(REQUEST, 1)] == [2, 4, 3]
    assert [sent.port for sent in _switch(*flows, closed=(9,)).receive(REQUEST, 1)] == [2]


def test_so_many_addresses_of_one_cookie_are_learned() -> None:
    switch = _switch(f"table=0,priority=1 actions={LEARN}")
    for source in (MACHINE, "fa:16:3e:00:00:02", MACHINE, "fa:16:3e:00:00:03"):
        switch.receive(frame(BROADCAST, source, "88b6"), 1)
    learned = "table=5,priority=10,dl_dst={} actions=set_field:0x1/0x1->reg3"
    expected = {parse_flow(learned.format(mac)) for mac in (MACHINE, "fa:16:3e:00:00:02")}
    assert {flow for _, flow in switch.flows(5)} == expected


@pytest.mark.parametrize("octets", range(14, 65, 3))
def test_fields_that_a_short_frame_does_not_have_are_zero(octets: int) -> None:
    found = headers(REQUEST[:octets]).values
    assert ("arp_tpa" in found) == (octets >= 42)
    assert found["eth_src"] == 0xFA163E000001
