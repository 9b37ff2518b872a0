"""The agent keeps each set of flows as it must be, and touches no other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from isthmus.core.node.flowsets import same_flows
from isthmus.model.errors import Invalid
from isthmus.model.node.flows import FlowChanges, Owner, PacketMeter
from isthmus.model.node.pipeline import learned_cookie, network_of_meter, set_cookie, storm_meter
from tests.fakes.flowplans import PEERS, Bridge, network, plan
from tests.fakes.switch import FakeOpenFlow

NETWORKS = [network(index) for index in range(5)]


@pytest.fixture
def bridge() -> Bridge:
    bridge = Bridge()
    bridge.have(plan(NETWORKS))
    bridge.flows.differ()  # what the flow monitor reports of our own changes
    bridge.node.effects.clear()
    return bridge


@pytest.fixture
def changes(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> list[FlowChanges]:
    """All changes that are made after the bridge has its flows."""
    assert bridge.installed()
    made: list[FlowChanges] = []
    make = FakeOpenFlow.replace

    def record(openflow: FakeOpenFlow, wanted: FlowChanges) -> None:
        made.append(wanted)
        make(openflow, wanted)

    monkeypatch.setattr(FakeOpenFlow, "replace", record)
    return made


def _number(bridge: Bridge, index: int) -> int:
    return bridge.node.numbers.networks[network(index).patch_port]


def test_added_network_changes_its_own_set_only(bridge: Bridge, changes: list[FlowChanges]) -> None:
    before = bridge.installed()
    bridge.have(plan([*NETWORKS, network(9)]))
    (made,) = changes
    (change,) = made.sets
    assert change.owner == Owner("network", "cloud-a.9")
    assert (change.delete, change.delete_tables, change.forget, made.delete_meters) == ((), (), (), ())
    number = _number(bridge, 9)
    assert {meter.id for meter in made.meters} == {storm_meter(number, member) for member in range(4)}
    assert bridge.installed() == before | {set_cookie(_number(bridge, 9)): frozenset(change.add)}


def test_removed_network_takes_its_learned_addresses_along(bridge: Bridge, changes: list[FlowChanges]) -> None:
    number = _number(bridge, 0)
    others = {learned_cookie(_number(bridge, 1), 1), learned_cookie(_number(bridge, 2), 3)}
    bridge.node.learned = others | {learned_cookie(number, 1), learned_cookie(number, 2)}
    meters = {meter for meter in bridge.node.meters if network_of_meter(meter) == number}
    assert len(meters) == 4
    bridge.have(plan(NETWORKS[1:]))
    assert [change.cookie for change in changes[0].sets] == [set_cookie(number)]
    assert {*changes[0].delete_meters} == meters
    assert bridge.node.learned == others
    assert set_cookie(number) not in bridge.installed()


def test_withdrawn_peer_of_a_network_takes_what_was_learned_from_it_along(bridge: Bridge) -> None:
    number, members = _number(bridge, 0), bridge.node.numbers.members
    bridge.node.learned = {learned_cookie(number, member) for member in members.values()}
    bridge.have(plan([network(0, PEERS[:2]), *NETWORKS[1:]]))
    assert bridge.node.learned == {learned_cookie(number, members[peer]) for peer in PEERS[:2]}


def test_path_to_a_member_changes_without_forgetting_addresses(bridge: Bridge, changes: list[FlowChanges]) -> None:
    number, (first, *others) = _number(bridge, 0), NETWORKS[0].links
    bridge.node.learned = learned = {learned_cookie(number, member) for member in (1, 2, 3)}
    moved = replace(first, tunnel_id=0x1FFFFF)
    bridge.have(plan([replace(NETWORKS[0], links=(moved, *others)), *NETWORKS[1:]]))
    assert [change.cookie for change in changes[0].sets] == [set_cookie(number)]
    assert bridge.node.learned == learned


def test_new_agent_changes_nothing(bridge: Bridge) -> None:
    bridge.new_agent()
    bridge.have(plan(NETWORKS))
    assert bridge.node.effects == []


def test_upgrade_replaces_flows_and_learned_flows_of_a_release_without_sets(bridge: Bridge) -> None:
    """They had one cookie for all flows, a digest; what they learned led to a tunnel port instead of a member."""
    wanted = bridge.installed()
    bridge.node.restart_switch()
    old_cookie = 0x157121B3046E0CD7
    bridge.node.put_flow(old_cookie, "table=0,priority=0 actions=drop")
    bridge.node.put_flow(old_cookie, "table=0,priority=10,in_port=4 actions=set_field:0x1->reg1,goto_table:1")
    bridge.node.put_flow(old_cookie, "table=3,priority=10,reg0=0x4 actions=output:4")
    bridge.node.learned = {0x1572000000000004}
    bridge.new_agent()
    bridge.have(plan(NETWORKS))
    assert bridge.installed() == wanted
    assert bridge.node.learned == set()
    assert bridge.node.effects == ["replace"], "in one bundle"


def test_restarted_switch_gets_the_same_flows(bridge: Bridge) -> None:
    before = bridge.installed()
    bridge.node.restart_switch()
    assert bridge.flows.differ()
    bridge.have(plan(NETWORKS))
    assert bridge.installed() == before
    assert bridge.node.effects == ["replace"]


def _foreign(bridge: Bridge) -> None:
    bridge.node.put_flow(0xBAD, "table=0,priority=99,in_port=4 actions=output:5")


def _foreign_in_an_unused_table(bridge: Bridge) -> None:
    bridge.node.put_flow(0xBAD, "table=77,hard_timeout=9, priority=99,in_port=4 actions=output:5")


def _foreign_with_our_cookie(bridge: Bridge) -> None:
    bridge.node.put_flow(set_cookie(_number(bridge, 1)), "table=0,priority=99,in_port=4 actions=output:5")


def _foreign_with_our_cookie_and_a_timeout(bridge: Bridge) -> None:
    bridge.node.put_flow(set_cookie(_number(bridge, 1)), "table=0,hard_timeout=9, priority=9 actions=output:5")


def _foreign_with_the_cookie_of_learned_flows(bridge: Bridge) -> None:
    bridge.node.put_flow(learned_cookie(1, 1), "table=0,priority=99,in_port=4 actions=output:5")


def _foreign_in_the_place_of_ours(bridge: Bridge) -> None:
    match = next(match for match in bridge.node.flows if match.startswith("table=7,"))
    bridge.node.put_flow(0xBAD, f"{match} actions=drop")


def _with_our_cookie_in_the_place_of_another_set(bridge: Bridge) -> None:
    match = next(match for match in bridge.node.flows if match.startswith("table=7,"))
    bridge.node.put_flow(set_cookie(member=1), f"{match} actions=drop")


def _changed(bridge: Bridge) -> None:
    match, (cookie, _) = next(item for item in bridge.node.flows.items() if item[0].startswith("table=7,"))
    bridge.node.put_flow(cookie, f"{match} actions=drop")


def _deleted(bridge: Bridge) -> None:
    match = next(match for match in bridge.node.flows if match.startswith("table=2,priority=106,udp"))
    cookie, _ = bridge.node.flows.pop(match)
    bridge.node.flow_changed(cookie)


DRIFT = [
    _foreign,
    _foreign_in_an_unused_table,
    _foreign_with_our_cookie,
    _foreign_with_our_cookie_and_a_timeout,
    _foreign_with_the_cookie_of_learned_flows,
    _foreign_in_the_place_of_ours,
    _with_our_cookie_in_the_place_of_another_set,
    _changed,
    _deleted,
]


@pytest.mark.parametrize("drift", DRIFT)
def test_any_change_by_others_is_seen_and_undone(bridge: Bridge, drift: Callable[[Bridge], None]) -> None:
    before = bridge.installed()
    assert not bridge.flows.differ()
    drift(bridge)
    assert bridge.flows.differ()
    bridge.have(plan(NETWORKS))
    assert bridge.installed() == before
    assert not bridge.flows.differ()


def test_foreign_flow_among_learned_ones_is_deleted_when_everything_is_compared(bridge: Bridge) -> None:
    bridge.node.learned = {0xBAD, learned_cookie(1, 1)}
    bridge.clock.seconds += 60
    bridge.have(plan(NETWORKS))
    assert bridge.node.learned == {learned_cookie(1, 1)}


def test_meters_of_a_withdrawn_peer_go_and_those_of_the_others_stay(bridge: Bridge, changes: list[FlowChanges]) -> None:
    number, members = _number(bridge, 0), bridge.node.numbers.members
    bridge.have(plan([network(0, PEERS[:2]), *NETWORKS[1:]]))
    (made,) = changes
    assert (made.meters, made.delete_meters) == ((), (storm_meter(number, members[PEERS[2]]),))


def test_foreign_meter_is_deleted_when_everything_is_compared(bridge: Bridge) -> None:
    before = dict(bridge.node.meters)
    bridge.node.meters[77] = PacketMeter(77, 1, 1)
    bridge.clock.seconds += 60
    bridge.have(plan(NETWORKS))
    assert bridge.node.meters == before


def test_meters_of_a_network_that_is_not_understood_any_more_are_kept(bridge: Bridge) -> None:
    """Its flows stay, and would be deleted with their meters."""
    before, meters = bridge.installed(), dict(bridge.node.meters)
    kept = replace(plan(NETWORKS[1:]), kept_patches=frozenset({NETWORKS[0].patch_port}))
    kept = replace(kept, ports=plan(NETWORKS).ports)
    bridge.have(kept)
    bridge.clock.seconds += 60
    bridge.have(kept)
    assert (bridge.installed(), bridge.node.meters) == (before, meters)
    bridge.have(plan(NETWORKS[1:]))
    assert len(bridge.node.meters) == len(meters) - 4


def test_changed_meter_is_restored_when_everything_is_compared(bridge: Bridge) -> None:
    before = dict(bridge.node.meters)
    bridge.node.meters = {}
    bridge.clock.seconds += 60
    bridge.have(plan(NETWORKS))
    assert bridge.node.meters == before


def test_nothing_is_listed_while_nothing_changes(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("flows were listed")

    monkeypatch.setattr(FakeOpenFlow, "view", fail)
    monkeypatch.setattr(FakeOpenFlow, "flows_of", fail)
    bridge.node.learned = {learned_cookie(1, member) for member in range(10_000)}
    for _ in range(5):
        assert not bridge.flows.differ()


def test_rejected_set_is_the_problem_of_its_owner_alone(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    make = FakeOpenFlow.replace

    def reject(openflow: FakeOpenFlow, wanted: FlowChanges) -> None:
        if any(change.owner == Owner("network", "cloud-a.7") for change in wanted.sets):
            raise Invalid("OFPBAC_BAD_SET_ARGUMENT")
        make(openflow, wanted)

    monkeypatch.setattr(FakeOpenFlow, "replace", reject)
    wanted = plan([*NETWORKS, *map(network, range(6, 10))])
    bridge.have(wanted)
    assert {owner: problem.reason for owner, problem in bridge.flows.problems.items()} == {
        Owner("network", "cloud-a.7"): "FlowsRejected"
    }
    installed = bridge.installed()
    assert all(set_cookie(_number(bridge, index)) in installed for index in (6, 8, 9))
    assert not bridge.flows.differ(), "it is not tried at each observation"
    monkeypatch.undo()
    bridge.clock.seconds += 60
    assert bridge.flows.differ()
    bridge.have(wanted)
    assert bridge.flows.problems == {}
    assert set_cookie(_number(bridge, 7)) in bridge.installed()


def test_set_that_is_listed_differently_is_not_written_for_ever(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another release of Open vSwitch could write an action in a way that we do not know."""
    put = bridge.node.put_flow
    monkeypatch.setattr(bridge.node, "put_flow", lambda c, flow: put(c, flow.replace("output:", "OUTPUT=")))
    for _ in range(10):
        bridge.have(plan([*NETWORKS, network(7)]))
    assert bridge.node.effects.count("replace") == 3
    assert {str(owner) for owner in bridge.flows.problems} == {"network cloud-a.7"}


def test_set_that_changes_again_and_again_is_written_each_time(bridge: Bridge) -> None:
    """The flow monitor confirms a change when the next one is wanted already."""
    for index in range(10):
        peers = PEERS[: 1 + index % 2]
        bridge.have(plan([network(0, peers), *NETWORKS[1:]]))
        assert bridge.node.effects.count("replace") == index + 1
    assert bridge.flows.problems == {}


def test_set_that_others_delete_before_it_is_listed_is_written_each_time(bridge: Bridge) -> None:
    before = bridge.installed()
    for _ in range(10):
        _deleted(bridge)
        bridge.have(plan(NETWORKS))
        assert bridge.installed() == before
    assert bridge.flows.problems == {}


def test_numbers_and_order_may_be_written_differently() -> None:
    flow = "table=1,priority=10,tun_id=0x100,in_port=4 actions=set_field:0x5->reg0,goto_table:2"
    same = "table=1,priority=10,in_port=4,tun_id=256 actions=set_field:5->reg0,goto_table:2"
    other = "table=1,priority=10,in_port=4,tun_id=257 actions=set_field:5->reg0,goto_table:2"
    assert same_flows(frozenset({flow}), frozenset({same}))
    assert not same_flows(frozenset({flow}), frozenset({other}))
    assert not same_flows(frozenset({flow}), frozenset())
