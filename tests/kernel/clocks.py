"""The clock of the guest, set for a while: that of all its nodes. What tests measure must not depend on it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

SETS_THE_CLOCK = pytest.mark.skipif("KERNEL_TIER_GUEST" not in os.environ, reason="sets the clock of the kernel")


@contextmanager
def shifted(by: timedelta) -> Iterator[None]:
    _shift(by)
    try:
        yield
    finally:
        _shift(-by)


def _shift(by: timedelta) -> None:
    time.clock_settime(time.CLOCK_REALTIME, time.time() + by.total_seconds())
