"""Fixtures: a second gateway node for all tests of this directory, and one network."""

from collections.abc import Iterator

import pytest

from tests.lab.gateways.pair import Carried, Pair, received_network, sent_network, two_gateways
from tests.testbed.install.federation import Federation


@pytest.fixture(scope="package", params=["a", pytest.param("b", marks=pytest.mark.long)])
def pair(request: pytest.FixtureRequest, peers: Federation) -> Iterator[Pair]:
    """Two working gateway nodes in cloud A (ML2/OVN), then in cloud B (ML2/OVS)."""
    with two_gateways(peers if request.param == "a" else peers.reversed()) as pair:
        yield pair


@pytest.fixture(scope="package")
def carried(pair: Pair) -> Iterator[Carried]:
    """A network of their cloud that is stretched through one of them."""
    with sent_network(pair) as carried:
        yield carried


@pytest.fixture(scope="package")
def received(pair: Pair) -> Iterator[Carried]:
    """A network of the other cloud that is stretched to theirs through one of them."""
    with received_network(pair) as received:
        yield received
