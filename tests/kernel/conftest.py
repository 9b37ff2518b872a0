"""Two nodes for each test."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kernel.node import Node, Pair
from tests.kernel.openvswitch import sh


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Two nodes with a charon each, joined by a wire of MTU 1500; no policy and no SA."""
    pair = Pair(Node("a", "192.0.2.1", tmp_path), Node("b", "192.0.2.2", tmp_path))
    sh("ip netns add a\nip netns add b\nip link add eth0 netns a type veth peer name eth0 netns b")
    try:
        for node in pair.nodes:
            sh(f"ip link set lo up\nip addr add {node.address}/24 dev eth0\nip link set eth0 up", node.name)
            node.start_charon()
        yield pair
    finally:
        for node in pair.nodes:
            node.end_charon(signal.SIGKILL)
            sh(f"ip netns del {node.name}")
