"""Fixture: one stretched network for all tests of this directory."""

from collections.abc import Iterator

import pytest

from tests.testbed.install.federation import Federation
from tests.testbed.workload.tenant import Stretch, reachable_stretch


@pytest.fixture(scope="package")
def stretched(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side that reach each other, before and after each test."""
    with reachable_stretch(peers, "shared", "10.80.0.0/24") as stretch:
        yield stretch
