"""IKE messages that are larger than the path: fragments of IKE (RFC 7383), where all those of IP are dropped.

As with a certificate of many names here; with ML-KEM, tests/kernel/newer/test_hybrid.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from isthmus.adapters.strongswan import messages
from isthmus.core.node import ipsec
from isthmus.model.node.ipsec import CertificateChain, CertificateRef, IkeConnection
from tests.authority import Authority, Issued
from tests.kernel.losses import FRAGMENTS, dropping_in
from tests.kernel.node import Pair
from tests.testbed.host.process import wait_until

CA = Authority("one")
PATH_BYTES = 1280
TOO_LONG = f"meta length gt {PATH_BYTES}"
NAMES = [f"name-{number}.of-a-gateway-with-many-names.example" for number in range(60)]


@pytest.fixture
def narrow(pair: Pair) -> Iterator[Pair]:
    """A path that drops what is longer than 1280 bytes, and every fragment, and says nothing."""
    with ExitStack() as obstacles:
        for node in pair.nodes:
            node.block()
            for match in (FRAGMENTS, TOO_LONG):
                obstacles.enter_context(dropping_in(node.name, match))
        yield pair


def _connections(pair: Pair) -> dict[str, tuple[IkeConnection, CertificateChain]]:
    found = {}
    for node in pair.nodes:
        issued = _large(node.name)
        ref = CertificateRef("key", issued.certificate.hex()[:64], "1", "", "")
        connection = replace(pair.connection(node), credential=ref)
        found[node.name] = connection, CertificateChain(issued.certificate, issued.private_key, (CA.certificate,))
    return found


def _large(name: str) -> Issued:
    issued = CA.issue(f"gw-{name}.cloud-{name}", further_names=NAMES)
    assert len(issued.certificate) > 2 * PATH_BYTES
    return issued


def test_large_messages_cross_a_path_without_fragments_of_ip(narrow: Pair) -> None:
    connections = _connections(narrow)
    with narrow.wire() as wire:
        for node in reversed(narrow.nodes):
            connection, chain = connections[node.name]
            node.ike.load(connection, b"", chain)
        narrow.a.ike.initiate(connections["a"][0].name)
        wait_until(lambda: _up(narrow, connections), 30, "IKE and ESP on both nodes")
        far = narrow.tunnels()
        assert narrow.a.ping(far).received == 5
        wire.summary().require_protected()
    for node in narrow.nodes:
        assert "splitting IKE message" in node.log.read_text()


def test_without_fragments_of_ike_they_do_not(narrow: Pair) -> None:
    """The control: the path is as narrow as it seems."""
    connections = _connections(narrow)
    for node in reversed(narrow.nodes):
        connection, chain = connections[node.name]
        node.ike.load(connection, b"", chain)
        (settings,) = messages.connection(connection, chain).values()
        without = {connection.name: settings | {"fragmentation": "no"}}
        node.ike._ask(lambda session, wanted=without: session.load_conn(wanted))  # type: ignore[misc]
    narrow.a.ike.initiate(connections["a"][0].name)
    wait_until(lambda: "giving up after" in narrow.a.log.read_text(), 60, "charon to give up")
    assert not _up(narrow, connections)


def _up(pair: Pair, connections: dict[str, tuple[IkeConnection, CertificateChain]]) -> bool:
    return all(ipsec.up(connections[node.name][0], node.ike.view()) for node in pair.nodes)
