"""Events that are recorded again keep the time of their first occurrence, and count."""

from datetime import UTC, datetime, timedelta

from isthmus.adapters.kubernetes.events import Events
from tests.contract.samples import cloud_peer


def test_repetition_keeps_the_first_time_and_counts() -> None:
    moments = iter(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n) for n in range(10))
    events, peer = Events("isthmus-controller", lambda: next(moments)), cloud_peer("b")
    first = events.manifest(peer, "Warning", "PeerUnreachable", "no answer")
    other = events.manifest(peer, "Normal", "Reachable", "")
    again = events.manifest(peer, "Warning", "PeerUnreachable", "no answer")
    assert [event["count"] for event in (first, other, again)] == [1, 1, 2]
    assert again["metadata"] == first["metadata"] != other["metadata"]
    assert (again["firstTimestamp"], again["lastTimestamp"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:02:00Z")


def test_bounded() -> None:
    events, peer = Events("isthmus-controller"), cloud_peer("b")
    for number in range(5000):
        events.manifest(peer, "Normal", "Reachable", str(number))
    assert events.manifest(peer, "Normal", "Reachable", "4999")["count"] == 2
    assert events.manifest(peer, "Normal", "Reachable", "0")["count"] == 1
