"""What events lose is recorded, whether or not it is a failure, and belongs to the images that it was counted with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pods import losses
from tests.pods.losses import Count, counted, require_no_loss
from tests.testbed.workload.loss import PacketsLost
from tests.testbed.workload.ping import PingResult

STRETCH = None


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the counts go."""
    path = tmp_path / "build" / "losses.json"
    monkeypatch.setattr(losses, "FILE", path)
    return path


def pings(monkeypatch: pytest.MonkeyPatch, result: PingResult) -> None:
    """Let pings have this result."""

    def ping(*_: object) -> PingResult:
        if result.lost:
            raise PacketsLost(result, [])
        return result

    monkeypatch.setattr(losses, "ping_losing_nothing", ping)


@pytest.mark.usefixtures("file")
def test_events_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    pings(monkeypatch, PingResult(900, 900, 1.0, 0.02))
    require_no_loss(STRETCH, lambda: None, "one")  # type: ignore[arg-type]
    pings(monkeypatch, PingResult(844, 826, 1.0, 0.2004))
    with pytest.raises(PacketsLost):
        require_no_loss(STRETCH, lambda: None, "other")  # type: ignore[arg-type]
    assert counted() == {"one": Count(900, 0, 0.02), "other": Count(844, 18, 0.2)}


def test_counts_of_other_images_are_none_of_these(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pings(monkeypatch, PingResult(900, 900, 1.0, 0.02))
    require_no_loss(STRETCH, lambda: None, "one")  # type: ignore[arg-type]
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "images": {**document["images"], "agent": "other"}}))
    assert counted() == {}


def test_nothing_was_counted_without_a_file(file: Path) -> None:
    assert not file.exists()
    assert counted() == {}


def test_every_event_of_the_tier_is_expected() -> None:
    """A parameter of two of these tests has two values."""
    texts = [path.read_text() for path in Path(losses.__file__).parent.glob("test_*.py")]
    assert sum(text.count("    require_no_loss(") for text in texts) + 2 == losses.EVENTS
    assert not [text for text in texts if "ping_losing_nothing" in text]
