"""Flows as lines of text, as Open vSwitch lists them."""

from __future__ import annotations

from isthmus.model.node.pipeline import Table


def flow(table: Table, priority: int, match: str, actions: str) -> str:
    """One flow; `match` is empty if it matches everything that enters the table."""
    return ",".join(filter(None, (f"table={table:d}", f"priority={priority}", match))) + f" actions={actions}"


def goto(table: Table) -> str:
    """The action that continues in a later table."""
    return f"goto_table:{table:d}"
