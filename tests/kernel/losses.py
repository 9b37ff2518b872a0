"""Packets that are lost on their way to a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from tests.kernel.openvswitch import sh
from tests.kernel.side import Side

_NUMBERS = count()


@contextmanager
def dropping(side: Side, match: str) -> Iterator[None]:
    """Drop packets that arrive at a node, before anything else has seen them. May be nested."""
    table = f"lost{next(_NUMBERS)}"
    sh(
        f"""
        nft add table ip {table}
        nft 'add chain ip {table} arriving {{ type filter hook prerouting priority -400; }}'
        nft add rule ip {table} arriving {match} drop
        """,
        side.node.name,
    )
    try:
        yield
    finally:
        sh(f"nft delete table ip {table}", side.node.name)
