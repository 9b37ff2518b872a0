"""Fixtures: a third cloud for all tests of this directory, and one network of cloud A in all three."""

from collections.abc import Iterator

import pytest

from tests.lab.federation.hub import Everywhere, Hub, everywhere, three_clouds
from tests.testbed.install.federation import Federation


@pytest.fixture(scope="package")
def hub(peers: Federation) -> Iterator[Hub]:
    """Cloud A with peers B and C, which do not know each other; only protected traffic on the WAN."""
    with three_clouds(peers) as hub:
        yield hub


@pytest.fixture(scope="package")
def network(hub: Hub) -> Iterator[Everywhere]:
    """A network of A with a machine in each cloud."""
    with everywhere(hub, "hub", "10.60.0.0/24") as network:
        yield network
