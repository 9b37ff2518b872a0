"""Nothing of ours is written again and again against somebody who changes it, whatever that is and whenever."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.network.attachment import restore_port
from isthmus.core.network.drift import MAX_REPAIRS, PAUSE_SECONDS, WINDOW_SECONDS, History, Repairs
from isthmus.model import names
from isthmus.model.actions import OpenStackAction, SetNetworkMTU, UpdatePools, UpdateSubnet
from isthmus.model.facts.openstack import Network, NetworkFacts, Port, Range, Subnet

NETWORK = Network("n1", "web", "p1", 1400)
NOTHING: History = {}
ROUTES = (("192.0.2.0/24", "10.20.0.9"),)


def subnet(last: int = 99) -> Subnet:
    pools = (Range("10.20.0.2", f"10.20.0.{last}"),)
    return Subnet("s1", "web", "n1", "p1", 4, "10.20.0.0/24", "10.20.0.1", pools, True)


wanted = UpdateSubnet("s1", "10.20.0.1", subnet().pools, True, ("10.20.0.3",), ROUTES)
pauses = st.lists(st.sampled_from([0.0, 4.0, 150.0, 299.0, 600.0, 3000.0, 3600.0]), min_size=1, max_size=60)
others = st.builds(
    replace,
    st.just(subnet()),
    gateway_ip=st.sampled_from(["10.20.0.1", None, "10.20.0.7"]),
    enable_dhcp=st.booleans(),
    pools=st.integers(99, 254).map(lambda last: subnet(last).pools),
    dns_nameservers=st.sampled_from([(), ("10.20.0.3",)]),
    host_routes=st.sampled_from([(), ROUTES]),
)


def perform(history: History, now: float, action: OpenStackAction, facts: NetworkFacts) -> tuple[History, list[str]]:
    """The history after a look, and what was set back at it."""
    repairs = Repairs(history, now)
    actions, _ = repairs.permitted((action,), facts)
    for each in actions:
        history = repairs.after(each, facts)
    return history, [target.field for target, written in history.items() if actions and written.at_seconds[-1] == now]


def most_in_a_window(times: list[float]) -> int:
    return max((sum(start <= at < start + WINDOW_SECONDS for at in times) for start in times), default=0)


@given(pauses, st.data())
def test_no_field_is_set_back_more_often_than_agreed(seconds: list[float], data: st.DataObject) -> None:
    now, history, times = 0.0, NOTHING, dict[str, list[float]]()
    for pause in seconds:
        now += pause + 0.001  # two changes are never at one moment
        facts = NetworkFacts("own", NETWORK, (data.draw(others),))
        history, repaired = perform(history, now, wanted, facts)
        for name in repaired:
            times.setdefault(name, []).append(now)
    assert all(most_in_a_window(at) <= MAX_REPAIRS for at in times.values())


attachment_ports = st.builds(
    replace,
    st.just(Port("p1", "gw", "n1", "own", "", (), names.ATTACHMENT_DEVICE_OWNER, "ACTIVE", "gw-1")),
    description=st.sampled_from(["", "ours", names.marker("cloud-x.n1"), names.marker("cloud-a.n1")]),
    admin_state_up=st.booleans(),
    port_security_enabled=st.booleans(),
)


@given(pauses, st.data())
def test_description_of_a_port_is_not_fought_over_but_the_port_is_restored(
    seconds: list[float], data: st.DataObject
) -> None:
    now, history, times = 0.0, NOTHING, list[float]()
    for pause in seconds:
        now += pause + 0.001
        port = data.draw(attachment_ports)
        facts = NetworkFacts("own", NETWORK, ports=(port,))
        planned = restore_port("cloud-a.n1", facts)
        permitted, _ = Repairs(history, now).permitted(planned, facts)
        assert permitted == planned or port.passes_all_frames
        assert bool(planned) == (not port.passes_all_frames or port.description != names.marker("cloud-a.n1"))
        if permitted and port.passes_all_frames:
            (restore,) = planned
            history = Repairs(history, now).after(restore, facts)
            times.append(now)
    assert most_in_a_window(times) <= MAX_REPAIRS


@given(st.lists(st.integers(100, 254), min_size=1, max_size=40))
def test_pools_are_not_fought_over_however_they_are_changed(lasts: list[int]) -> None:
    """What is written depends on what was found, but what is wanted does not."""
    history, repaired = NOTHING, 0
    for moment, last in enumerate(lasts):
        pools = subnet(last).pools
        action = UpdatePools("s1", subnet().pools, pools, None, (Range("10.20.0.100", "10.20.0.254"),))
        history, found = perform(history, float(moment), action, NetworkFacts("own", NETWORK, (subnet(last),)))
        repaired += len(found)
    assert repaired <= MAX_REPAIRS


@given(st.lists(st.sampled_from([0.5, 700.0, 5000.0]), max_size=30))
def test_what_was_left_in_peace_for_an_hour_is_set_back_at_once(seconds: list[float]) -> None:
    now, history, changed = 0.0, NOTHING, NetworkFacts("own", NETWORK)
    for pause in seconds:
        now += pause
        history, _ = perform(history, now, SetNetworkMTU("n1", 1300), changed)
    _, repaired = perform(history, now + PAUSE_SECONDS, SetNetworkMTU("n1", 1300), changed)
    assert repaired == ["mtu"]


@given(st.lists(st.integers(1200, 1205), min_size=1, max_size=40))
def test_another_wanted_value_is_written_at_once(values: list[int]) -> None:
    """A path whose MTU changes again and again is no drift."""
    history, before, now = NOTHING, 0, 0.0
    for value in values:
        now += 1.0
        history, repaired = perform(history, now, SetNetworkMTU("n1", value), NetworkFacts("own", NETWORK))
        assert repaired == ["mtu"] or value == before
        before = value
