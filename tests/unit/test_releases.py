"""This release and the last ones of versions 1 and 2 of the protocol agree, stretch and part, either upgraded first.

Both run their own code, in processes of their own; each parses what the other really publishes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.release import LAST_OF_VERSION_2, OLD, REPOSITORY, Cloud, exchange, settle, unpack

MACHINES = [f"10.20.0.{number}" for number in range(20, 30)]
LASTING = ("paths", "attached", "networks", "subnets", "attachment_ports")


@pytest.fixture(scope="module", params=[OLD, LAST_OF_VERSION_2], ids=["version 1", "version 2"])
def commit(request: pytest.FixtureRequest) -> str:
    commit: str = request.param
    return commit


@pytest.fixture(scope="module")
def old(commit: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(commit, tmp_path_factory.mktemp("old"))


def _pair(first: Path, second: Path) -> Iterator[tuple[Cloud, Cloud]]:
    clouds = Cloud("cloud-a", first), Cloud("cloud-b", second)
    yield clouds
    for cloud in clouds:
        cloud.stop()


@pytest.fixture(params=["old origin", "old receiver"])
def mixed(request: pytest.FixtureRequest, old: Path) -> Iterator[tuple[Cloud, Cloud]]:
    trees = (old, REPOSITORY) if request.param == "old origin" else (REPOSITORY, old)
    yield from _pair(*trees)


@pytest.fixture
def both_old(old: Path) -> Iterator[tuple[Cloud, Cloud]]:
    yield from _pair(old, old)


def _stretch(a: Cloud, b: Cloud) -> str:
    for cloud in (a, b):
        cloud("agree")
    settle(a, b)
    network: str = a("tenant")
    a("boot", network, MACHINES)
    a("expand", network)
    settle(a, b)
    for cloud in (a, b):
        state = cloud("state")
        assert (state["peer"], state["links"][0][2], len(state["paths"])) == ("Ready", "Ready", 1)
    return network


def _part(a: Cloud, b: Cloud, network: str) -> None:
    a("withdraw")
    settle(a, b)
    states: list[dict[str, Any]] = [cloud("state") for cloud in (a, b)]
    assert [state["links"] + state["paths"] + state["attached"] for state in states] == [[], []]
    assert [state["networks"] for state in states] == [[network], []]


def _lasting(*clouds: Cloud) -> list[list[Any]]:
    return [[cloud("state")[what] for what in LASTING] for cloud in clouds]


def _assert_undisturbed(before: list[list[Any]], a: Cloud, b: Cloud) -> None:
    """Exchange until nothing changes, and check in between that nothing of the stretched network is touched."""
    for _ in range(40):
        changes = exchange(a, b)
        assert _lasting(a, b) == before
        states = [cloud("state") for cloud in (a, b)]
        assert [link[:2] for state in states for link in state["links"]] == [["Active", None], ["Active", "Accepted"]]
        if not changes:
            return
    raise AssertionError("not settled")


def test_old_and_new_agree_stretch_and_part(mixed: tuple[Cloud, Cloud], commit: str) -> None:
    a, b = mixed
    network = _stretch(a, b)
    states = [cloud("state") for cloud in (a, b)]
    if commit == OLD:
        assert [state["slices"] for state in states] == [0, 0], "the old release reads none"
        assert states[0]["ports"] >= len(MACHINES)
        assert states[1]["remote_ports"] == states[0]["ports"], "nor does it publish any"
    else:
        assert [state["slices"] for state in states] == [1, 1]
        assert [state["ports"] + state["remote_ports"] for state in states] == [0, 0]
    _part(a, b, network)
    assert [cloud("state")["slices"] for cloud in (a, b)] == [0, 0]


@pytest.mark.parametrize("first", ["origin", "receiver"])
def test_upgrade_in_place_disturbs_nothing(both_old: tuple[Cloud, Cloud], first: str) -> None:
    a, b = both_old
    network = _stretch(a, b)
    before = _lasting(a, b)
    for cloud in (a, b) if first == "origin" else (b, a):
        cloud.replace(REPOSITORY)
        _assert_undisturbed(before, a, b)
    states = [cloud("state") for cloud in (a, b)]
    assert [state["peer"] for state in states] == ["Ready", "Ready"]
    assert [state["ports"] + state["remote_ports"] for state in states] == [0, 0], "ports have left the links"
    assert all(state["slices"] for state in states)
    _part(a, b, network)
    assert [cloud("state")["slices"] for cloud in (a, b)] == [0, 0]


@pytest.mark.parametrize("which", ["origin", "receiver"])
def test_downgrade_of_one_side_disturbs_nothing(old: Path, commit: str, which: str) -> None:
    for a, b in _pair(REPOSITORY, REPOSITORY):
        network = _stretch(a, b)
        before = _lasting(a, b)
        changed = a if which == "origin" else b
        changed.replace(old)
        _assert_undisturbed(before, a, b)
        _part(a, b, network)
        assert bool(changed("state")["slices"]) == (commit == OLD), "version 1 does not know them"
        changed.replace(REPOSITORY)
        settle(a, b)
        assert [cloud("state")["slices"] for cloud in (a, b)] == [0, 0]
