"""Numbers are stable and used again late; the work of one change does not depend on the number of networks."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.flowsets import differences
from isthmus.core.node.numbers import allocate, number
from isthmus.core.node.setcache import SetCache
from isthmus.model.node.numbers import MAX_MEMBER, MAX_NETWORK, Numbers
from isthmus.model.node.pipeline import (
    Direction,
    answer_meter,
    bandwidth_meter,
    direction_of_meter,
    learned_cookie,
    network_of_meter,
    probe_meter,
    sender_of_meter,
    storm_meter,
)
from tests.fakes.flowplans import PEERS, Bridge, network, plan

MAXIMUM = 12
OFPM_MAX = 0xFFFF0000  # OpenFlow 1.5, section 7.3.4.4
names = st.sampled_from("abcdefgh")
existing = st.dictionaries(names, st.integers(-1, MAXIMUM + 3))


@given(existing, st.sets(names), st.integers(0, MAXIMUM))
def test_numbers_are_unique_and_assigned_ones_are_kept(old: dict[str, int], wanted: set[str], last: int) -> None:
    assigned, _ = allocate(old, wanted, last, MAXIMUM)
    assert assigned.keys() == wanted
    assert len(set(assigned.values())) == len(assigned)
    assert all(1 <= found <= MAXIMUM for found in assigned.values())
    for name in wanted:
        valid = 1 <= old.get(name, 0) <= MAXIMUM
        if valid and sum(old[other] == old[name] for other in old) == 1:
            assert assigned[name] == old[name]
    again, _ = allocate(assigned, wanted, last, MAXIMUM)
    assert again == assigned


@given(st.lists(st.sets(names, max_size=4), max_size=30))
def test_released_number_is_used_again_as_late_as_possible(steps: list[set[str]]) -> None:
    """At least all other numbers that were free are assigned in between."""
    assigned: dict[str, int] = {}
    last, released = 0, list[int]()
    for wanted in steps:
        after, last = allocate(assigned, wanted, last, MAXIMUM)
        gone = {assigned[name] for name in assigned.keys() - wanted}
        new = {after[name] for name in after.keys() - assigned.keys()}
        released = [found for found in released if found not in new]
        assert not new & {*released[-(MAXIMUM - 9) :]}, "the latest ones must not be taken while others are free"
        released += sorted(gone)
        assigned = after


@given(st.sets(st.tuples(st.integers(1, MAX_NETWORK), st.integers(0, MAX_MEMBER))), st.sets(st.integers(1, MAX_MEMBER)))
def test_no_two_meters_have_the_same_id(senders: set[tuple[int, int]], members: set[int]) -> None:
    networks = {network for network, _ in senders}
    ours = [*(storm_meter(*sender) for sender in senders), *map(answer_meter, networks)]
    of_peers = [*map(probe_meter, members), *(bandwidth_meter(m, d) for m in members for d in Direction)]
    meters = [*ours, *of_peers]
    assert len({*meters}) == len(meters)
    assert all(0 < meter <= OFPM_MAX for meter in meters)
    assert {*map(network_of_meter, of_peers)} <= {0}
    assert all(direction_of_meter(bandwidth_meter(member, d)) == d for member in members for d in Direction)
    assert {*map(direction_of_meter, [*ours, *map(probe_meter, members)])} <= {None}
    assert {*map(network_of_meter, ours)} == networks
    assert {*map(sender_of_meter, map(answer_meter, networks))} <= {0}, "what is answered is of this cloud"
    assert all(sender_of_meter(storm_meter(*sender)) == sender[1] for sender in senders)


@given(st.lists(st.integers(0, 12), max_size=12), st.randoms(use_true_random=False))
def test_any_order_ends_in_the_same_sets(indexes: list[int], shuffle: random.Random) -> None:
    """Networks come one by one in any order; only their numbers depend on it."""
    wanted = [network(index, PEERS[: 1 + index % 3]) for index in sorted(set(indexes))]
    together, one_by_one = Bridge(), Bridge()
    order = wanted[:]
    shuffle.shuffle(order)
    for count in range(len(order) + 1):
        one_by_one.have(plan([*order[:count], network(99)]))
    one_by_one.have(plan(wanted))
    together.node.numbers, together.node.ofport = one_by_one.node.numbers, one_by_one.node.ofport
    together.have(plan(wanted))
    assert together.installed() == one_by_one.installed()
    assert together.node.meters == one_by_one.node.meters


@given(st.sampled_from((100, 1_000)))
def test_one_change_is_as_small_among_many_networks(count: int) -> None:
    changes = []
    for total in (100, count):
        base = [network(index) for index in range(total)]
        bridge = Bridge()
        bridge.have(plan(base))
        before = bridge.installed()
        bridge.have(plan([*base, network(20_000)]))
        after = bridge.installed()
        assert all(after[cookie] == flows for cookie, flows in before.items())
        changes.append([len(flows) for cookie, flows in after.items() if cookie not in before])
    assert changes[0] == changes[1]


@given(st.sets(st.integers(0, 9)), st.sets(st.integers(0, 9)))
def test_only_sets_that_differ_are_changed(before: set[int], after: set[int]) -> None:
    base, wanted = plan(map(network, before)), plan(map(network, after))
    patches = [network(index).patch_port for index in range(10)]
    numbers = number(Numbers(), patches, PEERS)
    ofport = {"isprobe": 1} | {tunnel.name: n for n, tunnel in enumerate(sorted(base.ports.tunnels, key=repr), 2)}
    ofport |= {name: n for n, name in enumerate(patches, 10)}
    cache = SetCache()
    old, old_meters = cache.sets(base, numbers, ofport), cache.meters
    new, new_meters = cache.sets(wanted, numbers, ofport), cache.meters
    changes = differences(new, {cookie: found.flows for cookie, found in old.items()}, old_meters)
    assert {meter for change in changes for meter in change.meters} == {*new_meters.values()} - {*old_meters.values()}
    owners = {int(change.cookie) for change in changes}
    assert len(owners) == len(changes) == len(before ^ after)
    forgotten = [found for change in changes for found, _ in change.forget]
    gone = {numbers.networks[network(index).patch_port] for index in before - after}
    assert sorted(forgotten) == sorted(learned_cookie(found) for found in gone)
