"""Which changes of state are logged, and how a line reads."""

from __future__ import annotations

import pytest

from isthmus.core.snapshot.transitions import State, object_transitions, state_transitions
from isthmus.model.api.objects import Condition, CustomObject
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, CloudPeerStatus
from tests.fakes.nodeobjects import peer

UNREACHABLE = ("Reachable", "False", "PeerUnreachable", "connection refused")
GONE = ("Ready", "False", "PeerUnreachable", "connection refused")
READY, REACHABLE = ("Ready", "True", "Ready"), ("Reachable", "True", "Reachable")
AGREED = ("Agreed", "True", "Agreed")
TUNNEL_UP, TUNNEL_DOWN = ("TunnelUp", "True", "Up"), ("TunnelUp", "False", "BFDDown", "gateway gw-a1 to gw-b1: no BFD")
OPENSTACK = ("OpenStackAvailable", "True", "Available")
NO_OPENSTACK = ("OpenStackAvailable", "False", "Forbidden", "clouds file x, entry y: rejected")


def cloud_peer(*conditions: tuple[str, ...]) -> CloudPeer:
    """CloudPeer `b` with conditions: type, status, reason, message."""
    fields = ("type", "status", "reason", "message")
    parsed = tuple(Condition.model_validate(dict(zip(fields, given, strict=False))) for given in conditions)
    return peer().model_copy(update={"status": CloudPeerStatus(conditions=parsed)})


def lines(before: CustomObject, after: CustomObject | None) -> list[str]:
    return [str(transition) for transition in object_transitions(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([READY, REACHABLE], [READY, REACHABLE], []),
        (
            [READY, REACHABLE, AGREED],
            [GONE, UNREACHABLE, AGREED, ("Progressing", "True", "PeerUnreachable")],
            ["Ready -> PeerUnreachable: connection refused"],
        ),
        ([GONE, UNREACHABLE, AGREED], [READY, REACHABLE, AGREED], ["PeerUnreachable -> Ready"]),
        ([GONE, UNREACHABLE], [(*GONE[:3], "timed out"), UNREACHABLE], []),
        (
            [GONE, UNREACHABLE, TUNNEL_UP],
            [GONE, UNREACHABLE, TUNNEL_DOWN],
            ["TunnelUp: Up -> BFDDown: gateway gw-a1 to gw-b1: no BFD"],
        ),
        (
            [READY, OPENSTACK],
            [READY, NO_OPENSTACK],
            ["OpenStackAvailable: Available -> Forbidden: clouds file x, entry y: rejected"],
        ),
        ([READY, NO_OPENSTACK], [READY, OPENSTACK], ["OpenStackAvailable: Forbidden -> Available"]),
        (
            [],
            [GONE, UNREACHABLE, ("Agreed", "Unknown", "WaitingForPeer"), OPENSTACK],
            ["absent -> PeerUnreachable: connection refused"],
        ),
        (
            [],
            [GONE, UNREACHABLE, NO_OPENSTACK],
            [
                "absent -> PeerUnreachable: connection refused",
                "OpenStackAvailable: absent -> Forbidden: clouds file x, entry y: rejected",
            ],
        ),
    ],
)
def test_changed_conditions_are_lines(
    before: list[tuple[str, ...]], after: list[tuple[str, ...]], expected: list[str]
) -> None:
    name = f"CloudPeer {peer().metadata.name}"
    starts = tuple(f"{name} {kind}: " for kind in ("TunnelUp", "OpenStackAvailable"))
    found = lines(cloud_peer(*before), cloud_peer(*after))
    assert [f"{name} {e}" if f"{name} {e}".startswith(starts) else f"{name}: {e}" for e in expected] == found


def test_end_of_an_object_is_a_line() -> None:
    assert lines(cloud_peer(("Ready", "False", "Withdrawing")), None) == [
        f"CloudPeer {peer().metadata.name}: Withdrawing -> absent"
    ]


def test_states_are_compared_by_name_and_explained_by_detail() -> None:
    before = {"a": State("up"), "b": State("down", "one text"), "c": State("up")}
    after = {"a": State("down", "no answer"), "b": State("down", "another text"), "d": State("up")}
    assert [str(transition) for transition in state_transitions(before, after)] == [
        "a: up -> down: no answer",
        "c: up -> absent",
        "d: absent -> up",
    ]
    assert list(state_transitions(after, after)) == []
