"""What tiers share: one lab for all tests that need real clouds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # other tiers run without what a lab needs
    from tests.testbed.lab import Lab


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """As it was: a process under test would leave a handler that writes to a stream of that test's alone."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab that $ISTHMUS_LAB names, or one for this session; pytest itself moves into its tester namespace."""
    from tests.testbed import state
    from tests.testbed.host.process import ended_in_order
    from tests.testbed.lab import Lab

    if name := os.environ.get("ISTHMUS_LAB"):
        yield Lab.attach(name)
        return
    with ended_in_order():
        lab = Lab.up()
        try:
            yield lab
        finally:
            if request.session.testsfailed:
                print(f"logs are kept in {state.keep_logs(lab.name)}")
            lab.down()
