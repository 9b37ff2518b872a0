"""UDP with a window, over the loopback interface: what arrives is counted, and what does not is not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.bench.tunnels.datagrams import group_of, receive, send

ADDRESS = "127.0.0.1"


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Nothing answers there yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind((ADDRESS, 0))
        yield bound


def _port(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def test_groups_are_small_enough_for_a_socket_s_buffer() -> None:
    assert [group_of(size) for size in (36, 1024, 1472, 8972, 60000)] == [16, 16, 11, 1, 1]


@pytest.mark.parametrize("payload_bytes", [36, 1372, 8972])
def test_what_arrives_is_counted(server: socket.socket, payload_bytes: int) -> None:
    threading.Thread(target=receive, args=(server.dup(),), daemon=True).start()
    for _ in range(2):
        arrived, lasted_seconds = send(ADDRESS, _port(server), 0.3, payload_bytes)
        assert arrived > group_of(payload_bytes)
        assert arrived % group_of(payload_bytes) == 0
        assert 0.3 <= lasted_seconds < 5


def test_what_is_not_answered_is_not_counted(server: socket.socket) -> None:
    arrived, lasted_seconds = send(ADDRESS, _port(server), 0.3, 1000)
    assert arrived == 0
    assert lasted_seconds >= 0.3


def test_incomplete_groups_are_not_answered(server: socket.socket) -> None:
    threading.Thread(target=receive, args=(server.dup(),), daemon=True).start()
    first, second = (number.to_bytes(8, "big") + b"\x02" for number in (1, 2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(server.getsockname())
        client.settimeout(5)
        for datagram in (first, second, second):
            client.send(datagram)
        assert client.recv(100) == second[:8]
