"""What a published port more or less changes of br-cloud's flows: one flow of one set."""

from __future__ import annotations

from dataclasses import replace

from isthmus.core.node.flowsets import differences
from isthmus.core.node.networks import plan_network
from isthmus.core.node.setcache import SetCache
from isthmus.model.api.v1alpha1.attachment import AddressOwner
from isthmus.model.node.flows import PlannedNetwork, PlannedOwner, SetChange
from isthmus.model.node.pipeline import network_of, owner_cookie
from tests.fakes.flowplans import Bridge, network, plan
from tests.fakes.nodeobjects import NODE, PEER, attachment

A1, A2, B1 = (f"fa:16:3e:00:00:{name}" for name in ("a1", "a2", "b1"))


def _with(of: PlannedNetwork, *macs: str) -> PlannedNetwork:
    """The network with these addresses at its first peer."""
    return replace(of, owners=(PlannedOwner(None, None, (A1,)), PlannedOwner(of.links[0].cloud_id, None, macs)))


def _changes(before: PlannedNetwork, after: PlannedNetwork) -> list[SetChange]:
    """What turns the flows of one into those of the other."""
    bridge, cache = Bridge(), SetCache()
    bridge.have(plan([before]))
    numbers, ofport = bridge.node.numbers, bridge.node.ofport
    installed = {c: s.flows for c, s in cache.sets(plan([before]), numbers, ofport).items()}
    return differences(cache.sets(plan([after]), numbers, ofport), installed, cache.meters)


def test_one_port_changes_one_flow_of_one_set() -> None:
    macs = tuple(f"fa:16:3e:01:{index >> 8:02x}:{index & 255:02x}" for index in range(10_000))
    for fewer, more in ((macs[:-1], macs), (macs[1:], macs)):
        (added,) = _changes(_with(network(1), *fewer), _with(network(1), *more))
        (deleted,) = _changes(_with(network(1), *more), _with(network(1), *fewer))
        assert added.cookie == deleted.cookie == owner_cookie(1)
        assert (len(added.add), added.delete, added.delete_tables, added.forget) == (1, (), (), ())
        assert (deleted.add, len(deleted.delete), deleted.delete_tables, deleted.forget) == ((), 1, (), ())


def test_machine_that_moves_changes_the_owner_of_its_flow() -> None:
    """In one step: there is no moment at which it is nobody's, or still its old cloud's."""
    there, here = _with(network(1), A2, B1), _with(network(1), A2)
    here = replace(here, owners=(PlannedOwner(None, None, (A1, B1)), *here.owners[1:]))
    (change,) = _changes(there, here)
    assert (len(change.add), change.delete) == (1, ())


def test_owners_that_go_take_nothing_along_that_was_learned() -> None:
    (change,) = _changes(_with(network(1), B1), network(1))
    assert (change.cookie, change.owner, change.forget) == (owner_cookie(1), None, ())


def test_network_takes_its_owners_along_and_keeps_them_while_it_is_not_known() -> None:
    bridge, of = Bridge(), _with(network(1), B1)
    bridge.have(plan([of, network(2)]))
    before = bridge.installed()
    number = bridge.node.numbers.networks[of.patch_port]
    assert owner_cookie(number) in before
    kept = replace(plan([network(2)]), kept_patches=frozenset({of.patch_port}))
    bridge.have(replace(kept, ports=plan([of, network(2)]).ports))
    assert bridge.installed() == before
    bridge.have(plan([network(2)]))
    assert {cookie for cookie in bridge.installed() if network_of(cookie) == number} == set()


def test_address_that_is_named_twice_has_its_first_owner() -> None:
    """Somebody has edited the Attachment: of two flows with one match the switch would have one."""
    wanted = attachment()
    both = (
        AddressOwner(macs=(A1, A2), addresses=("10.20.0.9",)),
        AddressOwner(cloud_id=PEER, macs=(A2, B1), addresses=("10.20.0.9", "fd00::1")),
    )
    edited = wanted.model_copy(update={"spec": wanted.spec.model_copy(update={"owners": both})})
    planned = plan_network(NODE, edited, {}, lambda _: False).network
    assert planned is not None
    assert [(owner.cloud_id, owner.macs, owner.addresses) for owner in planned.owners] == [
        (None, (A1, A2), ("10.20.0.9",)),
        (PEER, (B1,), ("fd00::1",)),
    ]
