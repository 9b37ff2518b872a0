"""Packets that are lost on their way to a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from typing import Final

from tests.kernel.openvswitch import sh
from tests.kernel.side import Side

_NUMBERS = count()


FRAGMENTS: Final = "ip frag-off & 0x3fff != 0"


def dropping(side: Side, match: str) -> AbstractContextManager[None]:
    """Drop packets that arrive at a node, before anything else has seen them. May be nested."""
    return dropping_in(side.node.name, match)


@contextmanager
def dropping_in(netns: str, match: str) -> Iterator[None]:
    """The same in a network namespace. Fragments are seen as such: nothing has reassembled them yet."""
    table = f"lost{next(_NUMBERS)}"
    sh(
        f"""
        nft add table ip {table}
        nft 'add chain ip {table} arriving {{ type filter hook prerouting priority -400; }}'
        nft 'add rule ip {table} arriving {match} drop'
        """,
        netns,
    )
    try:
        yield
    finally:
        sh(f"nft delete table ip {table}", netns)
