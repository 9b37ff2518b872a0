"""The nftables of a gateway node in memory."""

from __future__ import annotations

from isthmus.model.errors import Unsupported
from isthmus.model.node.firewall import FirewallView, Ruleset
from isthmus.model.node.flows import Traffic

from .node import FakeNode


class FakeFirewall:
    """ports.Firewall."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> FirewallView:
        self._ask()
        return FirewallView(self._node.firewall, {name: Traffic(0, 0) for name in self._node.firewall.counters})

    def replace_table(self, ruleset: Ruleset) -> None:
        self._ask()
        self._node.firewall = ruleset
        self._node.changed("replace_table")

    def remove_table(self) -> None:
        self._ask()
        self._node.firewall = Ruleset()
        self._node.changed("remove_table")

    def _ask(self) -> None:
        if not self._node.has_nftables:
            raise Unsupported("nft is not installed on this node")
