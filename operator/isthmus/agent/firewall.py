"""Keeps an nftables table of ours as it must be, and knows why where it is not."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.core.node.firewall import widened
from isthmus.model.actions import Problem
from isthmus.model.errors import ExternalError, Unsupported
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.flows import Traffic
from isthmus.model.reasons import Reason
from isthmus.ports import Firewall

_MAX_DIFFERENCES = 3
_XFRM_ALONE = "the XFRM block policies alone keep unprotected tunnel traffic off the wire"


class FirewallTable:
    """The second fence, or another table. A node without nftables works all the same, and reports a problem.

    Not thread-safe.
    """

    def __init__(self, firewall: Firewall, without: str = _XFRM_ALONE) -> None:
        """`without` says for messages how things are as long as the table is not as it must be."""
        self._firewall, self._without = firewall, without
        self._wanted: Ruleset | None = None
        self._differences = 0
        """How often in succession something else was read back than had been written."""
        self.problem: Problem | None = None
        self.dropped: Mapping[str, Traffic] = {}
        """By counter, as last read."""

    def extend(self, ruleset: Ruleset) -> None:
        """Have at least this, and keep what the table names besides."""
        self._ensure(ruleset, widen=True)

    def limit(self, ruleset: Ruleset) -> None:
        """Have exactly this."""
        if ruleset != self._wanted:
            self._ensure(ruleset, widen=False)

    def require(self, ruleset: Ruleset) -> None:
        """Have exactly this, whatever was there when the table was last read."""
        self._ensure(ruleset, widen=False)

    def restore(self) -> bool:
        """Have again what was there; whether anything had to be written. Nothing happens before `extend`.

        Each table that is written notifies the monitor, which calls this: it gives up on an nft, or another program,
        that makes something else of every table. `extend` tries again.
        """
        return (
            self._wanted is not None
            and self._differences < _MAX_DIFFERENCES
            and self._ensure(self._wanted, widen=False)
        )

    def _ensure(self, ruleset: Ruleset, *, widen: bool) -> bool:
        try:
            problem, written = self._write_if_needed(ruleset, widen)
        except Unsupported as error:
            problem, written = Problem(Reason.NFTABLES_UNSUPPORTED, f"{error}; {self._without}"[:1024]), False
        except ExternalError as error:
            problem, written = Problem(Reason.NFTABLES_FAILED, f"{error}; {self._without}"[:1024]), False
        self.problem = problem
        return written

    def _write_if_needed(self, ruleset: Ruleset, widen: bool) -> tuple[Problem | None, bool]:
        view = self._firewall.view()
        self.dropped = view.dropped
        self._wanted = wanted = widened(ruleset, view.ruleset) if widen else ruleset
        if view.ruleset == wanted:
            self._differences = 0
            return None, False
        if wanted == Ruleset():
            self._firewall.remove_table()
        else:
            self._firewall.replace_table(wanted)
        if self._firewall.view().ruleset == wanted:
            self._differences = 0
            return None, True
        self._differences += 1
        return Problem(
            Reason.NFTABLES_RULESET_DIFFERS, f"nft lists another table than was written; {self._without}"
        ), True
