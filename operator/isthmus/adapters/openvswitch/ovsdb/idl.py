"""ovsdbapp's in-memory replica of the database (IDL), which notes what changes in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ovsdbapp.backend.ovs_idl import connection


class Idl(connection.OvsdbIdl):
    """The replica. While it connects again, all rows may be replaced; those that are gone then are not noted."""

    def __init__(self, *arguments: Any) -> None:
        self.changed: set[tuple[str, UUID]] = set()
        """Table and UUID of each row that was created, changed or deleted since whoever reads it cleared this.

        A port is changed, too, if a bridge gains or loses it.
        """
        super().__init__(*arguments)

    def notify(self, event: str, row: Any, updates: Any = None) -> None:
        """Called by the base class, with the connection locked. Of a changed row, `updates` has the former columns."""
        self.changed.add((row._table.name, row.uuid))
        if row._table.name == "Bridge" and updates is not None and "ports" in updates._data:
            # Their atoms are compared: `row.ports` would make a list of the rows of all ports.
            moved = {*updates._data["ports"].values}.symmetric_difference(row._data["ports"].values)
            self.changed |= {("Port", atom.value) for atom in moved}
