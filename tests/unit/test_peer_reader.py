"""What a reader reports of a peer some of whose kinds cannot be read; its threads are not started."""

import pytest

from isthmus.adapters.peers.reader import Health, Reader
from isthmus.model.errors import Forbidden, Unavailable
from isthmus.model.facts.peer import PeerView
from isthmus.model.reasons import Reason


@pytest.fixture
def reader() -> Reader:
    """Everything can be read."""
    reader = Reader("cloud-b", b"", "isthmus-peer-cloud-a", 1.0, lambda: None)
    for health in kinds(reader):
        health.listed()
    return reader


def kinds(reader: Reader) -> tuple[Health, Health, Health]:
    return reader._peer, reader._links, reader._slices


def view(reader: Reader) -> PeerView:
    found = reader.view()
    assert found is not None
    return found


def test_kind_that_alone_cannot_be_read_is_left_out(reader: Reader) -> None:
    reader._slices.failed(Unavailable("timed out"))
    assert view(reader).reachable
    assert view(reader).not_understood == {"PortSlices": "timed out"}


def test_peer_that_does_not_serve_a_kind_leaves_nothing_out(reader: Reader) -> None:
    reader._slices.failed(Forbidden("not allowed"))
    assert view(reader).not_understood == {}


def test_peer_that_is_away_leaves_nothing_out(reader: Reader) -> None:
    """It is one failure, of the peer, and not another of what it publishes."""
    for health in kinds(reader):
        health.failed(Unavailable("timed out"))
    assert (view(reader).reason, view(reader).message) == (Reason.PEER_UNREACHABLE, "timed out")
    assert view(reader).not_understood == {}
    for health in kinds(reader)[:2]:  # PortSlices are tried again later
        health.listed()
    assert view(reader).reachable
    assert view(reader).not_understood == {}
    reader._slices.failed(Unavailable("still"))
    assert view(reader).not_understood == {"PortSlices": "still"}
