"""Whether something answers that is asked again and again."""

from __future__ import annotations

from collections import deque
from typing import Final

_DOWN_AFTER: Final = 3  # consecutive questions without an answer


class Answers:
    """The last answers of one."""

    def __init__(self) -> None:
        self._last: deque[bool] = deque(maxlen=_DOWN_AFTER)

    def record(self, answered: bool) -> None:
        """Record whether it has answered this time."""
        self._last.append(answered)

    @property
    def up(self) -> bool | None:
        """None until it was asked often enough to decide, so that a restarted agent reports none as down too early."""
        if any(self._last):
            return True
        return False if len(self._last) == _DOWN_AFTER else None
