"""The nftables of this node."""

from __future__ import annotations

from typing import Protocol

from isthmus.model.node.firewall import FirewallView, Ruleset


class Firewall(Protocol):
    """One nftables table of our own; no other table MUST ever be changed. `Unsupported` if the node has no nftables."""

    def view(self) -> FirewallView:
        """What our table holds, and what its rules have dropped.

        It MUST equal the ruleset that was written last, unless somebody changed anything in the table since.
        """
        ...

    def replace_table(self, ruleset: Ruleset) -> None:
        """Replace our table in one transaction: every packet passes either the old one or the new one."""
        ...

    def remove_table(self) -> None:
        """Remove our table. MUST NOT fail if it does not exist."""
        ...
