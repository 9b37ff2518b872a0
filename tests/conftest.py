"""Fixtures of all tiers: one lab for all tests that need real clouds."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # other tiers run without the packages that a lab needs
    from tests.testbed.lab import Lab


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """Restore the root logger: a process under test adds a handler for a stream that ends with the test."""
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
