"""Messages are user interface: a change of their wording is seen in review."""

from pathlib import Path

from . import messages

GOLDEN = Path(__file__).parent / "messages.txt"


def test_messages_are_as_reviewed() -> None:
    assert GOLDEN.read_text() == messages.render(), "run `make generate`, and read what changed"


def test_messages_are_found() -> None:
    """A message that is written otherwise than the collector expects would never be seen."""
    assert len(messages.render().splitlines()) > 80
