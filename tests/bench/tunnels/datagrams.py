"""UDP in one direction with a window: as fast as the path can be, without what it cannot carry pushing out the rest.

A sender that waits for nobody would use up the only processor of a guest, and most of its datagrams would be lost in
front of a receiver that gets no time. `python -m tests.bench.tunnels.datagrams receive ADDRESS PORT` answers each
group of datagrams; `… send ADDRESS PORT SECONDS PAYLOAD_BYTES` prints how many were answered, and in how many seconds.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Final

_GROUP_BYTES: Final = 16384
_LARGEST_GROUP: Final = 16
_GROUPS_IN_FLIGHT: Final = 4  # less than what a socket's buffer holds, and than the queue of the kernel's backlog
_LOST_SECONDS: Final = 1.0
_LARGEST_BYTES: Final = 65535
_NUMBER_BYTES, _COUNT_BYTES = 8, 1


def group_of(payload_bytes: int) -> int:
    """How many datagrams of so many bytes are answered by one."""
    return max(1, min(_LARGEST_GROUP, _GROUP_BYTES // payload_bytes))


def send(address: str, port: int, seconds: float, payload_bytes: int) -> tuple[int, float]:
    """The number of datagrams that arrived, and the time in seconds until the last answer.

    Each begins with its group's number and size. Groups that are not answered after a second count as lost.
    """
    group, number = group_of(payload_bytes), time.monotonic_ns()  # which no earlier sender has used
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.settimeout(_LOST_SECONDS)
        began = ended = time.monotonic()
        outstanding: set[bytes] = set()
        arrived = 0
        while ended - began < seconds:
            while len(outstanding) < _GROUPS_IN_FLIGHT:
                name = number.to_bytes(_NUMBER_BYTES, "big")
                datagram = (name + group.to_bytes(_COUNT_BYTES, "big")).ljust(payload_bytes, b"\0")
                for _ in range(group):
                    client.send(datagram)
                outstanding.add(name)
                number += 1
            try:
                answer = client.recv(_LARGEST_BYTES)
                arrived += group if answer in outstanding else 0
                outstanding.discard(answer)
            except TimeoutError:
                outstanding.clear()
            ended = time.monotonic()
        return arrived, ended - began


def receive(server: socket.socket) -> None:
    """Answer each group of which all datagrams have arrived, until this process is killed."""
    group, members = b"", 0
    while True:
        datagram, client = server.recvfrom(_LARGEST_BYTES)
        name = datagram[:_NUMBER_BYTES]
        group, members = name, members + 1 if name == group else 1
        if members == datagram[_NUMBER_BYTES]:
            server.sendto(group, client)


if __name__ == "__main__":
    what, to, at, *rest = sys.argv[1:]
    if what == "receive":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind((to, int(at)))
            receive(listening)
    else:
        print(*send(to, int(at), float(rest[0]), int(rest[1])))
