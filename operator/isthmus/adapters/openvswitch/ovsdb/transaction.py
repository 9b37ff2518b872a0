"""One transaction of ours in this node's Open vSwitch database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ovsdbapp.backend.ovs_idl import transaction
from ovsdbapp.backend.ovs_idl.command import BaseCommand


class Transaction(transaction.Transaction):
    """A transaction with the value to which it has counted up next_cfg.

    ovsdbapp's own one waits for ovs-vswitchd with the connection locked, and does not tell whether that was in vain.
    """

    def __init__(self, database: Any, edit: Callable[[Any], None]) -> None:
        super().__init__(database, database.ovsdb_connection, check_error=True, log_errors=False)
        self._number = 0
        self.add(_Edit(database, edit))

    def commit_and_number(self) -> int:
        """Commit; returns the value that cur_cfg has once ovs-vswitchd has applied this transaction."""
        self.commit()
        return self._number

    def pre_commit(self, txn: Any) -> None:
        """Called with the connection locked, before the command."""
        for root in self.api.idl.tables["Open_vSwitch"].rows.values():
            root.increment("next_cfg")

    def post_commit(self, txn: Any) -> None:
        """Called with the connection locked, after a successful commit."""
        super().post_commit(txn)
        self._number = txn.get_increment_new_value()


class _Edit(BaseCommand):
    def __init__(self, database: Any, edit: Callable[[Any], None]) -> None:
        super().__init__(database)
        self._edit = edit

    def run_idl(self, txn: Any) -> None:
        self._edit(txn)
