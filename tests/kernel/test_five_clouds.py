"""An origin and four receivers without routes to each other: all reach each other through it, and two directly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from isthmus.model.node.flows import LinkKey
from isthmus.model.tracked import Tracked
from tests.kernel.bridged import Cloud
from tests.kernel.openvswitch import Machine, sh
from tests.kernel.star import NETWORK, Star, heard, host, number, numbered, plugged, probe
from tests.testbed.host.process import wait_until

DIRECT = ("b", "c")
STAR = Star("bcde", DIRECT)
EVERYBODY = "a" + STAR.receivers


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Cloud]]:
    with STAR.built(tmp_path_factory.mktemp("clouds")) as made:
        yield made


@pytest.fixture(scope="module")
def machines(clouds: dict[str, Cloud]) -> Iterator[dict[str, Machine]]:
    with plugged(clouds) as made:
        yield made


def _require_once(machines: dict[str, Machine]) -> None:
    """Numbered broadcasts of each arrive once at each other one, and so do frames to that one; nothing returns."""
    for sender in EVERYBODY:
        others = [name for name in EVERYBODY if name != sender]
        broadcasts = numbered(machines[sender], sender)
        single = {name: numbered(machines[sender], sender, machines[name].mac) for name in others}
        with ExitStack() as stack:
            listening = {name: stack.enter_context(machines[name].listening()) for name in EVERYBODY}
            machines[sender].send(*broadcasts, *(frame for frames in single.values() for frame in frames))
            for name in others:
                sent = broadcasts + single[name]
                assert heard(listening[name], sent) == Counter(sent), f"{sender} to {name}"
            assert not {*listening[sender](0.2)} & {*broadcasts}, f"back to {sender}"


def _take_direct_path(clouds: dict[str, Cloud]) -> None:
    """As agents do: both receivers have both paths first, and then choose."""
    for name in DIRECT:
        clouds[name].networks = (STAR.network(name, direct=True),)
        clouds[name].install()
    for name in DIRECT:
        wait_until(lambda: {*probe(clouds[name]).values()} == {1}, 30, f"all paths of {name}")  # noqa: B023
    for name, other in (DIRECT, DIRECT[::-1]):
        member: LinkKey = (NETWORK.link_name, f"cloud-a/{number(other)}")
        clouds[name].flows.direct = Tracked[LinkKey, bool]().updated({member: True})
        clouds[name].install()


def test_every_path_through_the_origin_answers_probes(clouds: dict[str, Cloud]) -> None:
    assert probe(clouds["a"]) == {f"cloud-{name}": 1 for name in STAR.receivers}
    for receiver in STAR.receivers:
        others = {f"cloud-a/{number(name)}": 1 for name in STAR.receivers if name != receiver}
        assert probe(clouds[receiver]) == {"cloud-a": 1} | others


def test_all_frames_arrive_once_through_the_origin(machines: dict[str, Machine]) -> None:
    _require_once(machines)


def test_all_frames_arrive_once_with_a_direct_path_between_two(
    clouds: dict[str, Cloud], machines: dict[str, Machine]
) -> None:
    _take_direct_path(clouds)
    _require_once(machines)
    one, other = DIRECT
    sh(f"ip -n node-a link set wan-{one} down")
    assert machines[one].ping(host(other)) == 3, "they need no origin"
    assert machines[one].ping(host("d")) == 0, "the others do"
