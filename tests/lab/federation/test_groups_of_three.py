"""Security groups by name in three clouds: members are admitted, and others are not, also between two receivers."""

from collections.abc import Callable, Iterator

import pytest

from tests.lab.federation.hub import Everywhere, Hub
from tests.testbed.workload.club import CHOSEN_SECONDS, Club, gathered

pytestmark = pytest.mark.stage("third")


@pytest.fixture(scope="module")
def club(hub: Hub, network: Everywhere) -> Iterator[Club]:
    """The machines of all three clouds in groups; each cloud has ports for those of both others."""
    sides = (hub.origin, *(federation.receiver for federation in hub.federations))
    remotes = ((stretch.remote, stretch.remotes[0]) for stretch in network.stretches.values())
    with gathered(sides, (network.tenant, network.local), *remotes) as club:
        yield club


def test_members_are_admitted_in_all_pairs(club: Club) -> None:
    assert club.open_from(*club.sides) == set()
    club.choose("ByName")
    club.await_admission(*club.sides, admitted=True, within_seconds=CHOSEN_SECONDS)


@pytest.mark.parametrize("left", [0, 1, 2], ids=["a", "b", "c"])
def test_who_leaves_the_group_is_admitted_by_neither_other_cloud(
    club: Club, left: int, record_property: Callable[[str, object], None]
) -> None:
    leaver = club.sides[left]
    record_property(f"machine of {leaver.cloud.name} in three clouds", club.leave_and_enter(leaver))
    assert club.open_from(*club.sides) == club.ways_from(*club.sides)
