"""Contract of ports.Firewall."""

from __future__ import annotations

from typing import Protocol

from isthmus.core.node import firewall as core
from isthmus.model.node.firewall import FirewallView
from isthmus.model.node.flows import Traffic
from isthmus.ports import Firewall

ONE_PEER = core.ruleset([14789], ["192.0.2.2"])
TWO_PEERS = core.ruleset([14789, 14790], ["192.0.2.2", "198.51.100.2", "2001:db8::2"])


class OtherAdministrators(Protocol):
    """Changes of other software to the node's nftables."""

    def add_table(self) -> None:
        """One of their own."""

    def has_table(self) -> bool: ...
    def add_accept_rule(self) -> None:
        """In front of ours, in our output chain."""

    def delete_tunnel_port(self, udp_port: int) -> None:
        """Out of our set."""

    def flush(self) -> None:
        """Everything: what `nft flush ruleset` does."""


class FirewallContract:
    """Fixtures: `firewall`, `administrators`."""

    def test_the_table_is_as_wanted_until_it_is_removed(self, firewall: Firewall) -> None:
        assert firewall.view() == FirewallView()
        for wanted in (ONE_PEER, TWO_PEERS, TWO_PEERS, ONE_PEER):
            firewall.replace_table(wanted)
            assert firewall.view() == FirewallView(wanted, dict.fromkeys(core.COUNTERS, Traffic(0, 0)))
        firewall.remove_table()
        firewall.remove_table()
        assert firewall.view() == FirewallView()

    def test_what_somebody_changed_is_seen_and_replaced(
        self, firewall: Firewall, administrators: OtherAdministrators
    ) -> None:
        for change in (
            administrators.add_accept_rule,
            lambda: administrators.delete_tunnel_port(14790),
            administrators.flush,
        ):
            firewall.replace_table(TWO_PEERS)
            change()
            assert firewall.view().ruleset != TWO_PEERS
            firewall.replace_table(TWO_PEERS)
            assert firewall.view().ruleset == TWO_PEERS

    def test_tables_of_others_stay(self, firewall: Firewall, administrators: OtherAdministrators) -> None:
        administrators.add_table()
        firewall.replace_table(ONE_PEER)
        firewall.replace_table(TWO_PEERS)
        assert administrators.has_table()
        firewall.remove_table()
        assert administrators.has_table()
