"""The nftables table as the agent keeps it, also where nft does something else than asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from isthmus.agent.firewall import FirewallTable
from isthmus.core.node.firewall import ruleset
from isthmus.model.errors import Unavailable
from isthmus.model.node.firewall import FirewallView, Ruleset
from isthmus.model.reasons import Reason
from tests.fakes.firewall import FakeFirewall
from tests.fakes.node import FakeNode

ONE, OTHER = ruleset([14789], ["198.51.100.11"]), ruleset([14790], ["198.51.100.12"])
BOTH = ruleset([14789, 14790], ["198.51.100.11", "198.51.100.12"])


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def test_table_is_extended_first_and_limited_last(node: FakeNode) -> None:
    table = FirewallTable(FakeFirewall(node))
    for wanted, before in ((ONE, ONE), (OTHER, BOTH), (Ruleset(), OTHER)):
        table.extend(wanted)
        assert node.firewall == before
        table.limit(wanted)
        assert node.firewall == wanted
    assert node.effects == ["replace_table", "replace_table", "replace_table", "remove_table"]


def test_new_life_changes_nothing(node: FakeNode) -> None:
    node.firewall = ONE
    table = FirewallTable(FakeFirewall(node))
    assert not table.restore()
    table.extend(ONE)
    table.limit(ONE)
    assert not table.restore()
    assert node.effects == []


@pytest.mark.parametrize("found", [Ruleset(), OTHER, replace(ONE, rules=frozenset())])
def test_table_that_somebody_changed_is_restored(node: FakeNode, found: Ruleset) -> None:
    table = FirewallTable(FakeFirewall(node))
    table.extend(ONE)
    node.firewall = found
    assert table.restore()
    assert (node.firewall, table.problem) == (ONE, None)


def test_node_without_nftables_reports_it_and_recovers(node: FakeNode) -> None:
    table = FirewallTable(FakeFirewall(node))
    node.has_nftables = False
    table.extend(ONE)
    table.limit(ONE)
    assert table.problem is not None
    assert table.problem.reason is Reason.NFTABLES_UNSUPPORTED
    assert "nft is not installed" in table.problem.message
    node.has_nftables = True
    table.extend(ONE)
    assert node.firewall == ONE
    assert _reason(table) is None


@dataclass
class Forgetful(FakeFirewall):
    """Lists something else than what was written, as a version of nft might that we do not know."""

    node: FakeNode
    written: int = 0
    answers: bool = True

    def view(self) -> FirewallView:
        if not self.answers:
            raise Unavailable("nft: it takes too long")
        return FirewallView(Ruleset(unexpected=frozenset({str(bool(self.written))})))

    def replace_table(self, ruleset: Ruleset) -> None:
        self.written += 1


def test_table_that_reads_back_differently_is_not_written_again_and_again(node: FakeNode) -> None:
    firewall = Forgetful(node)
    table = FirewallTable(firewall)
    table.extend(ONE)
    for _ in range(10):
        table.restore()
    assert firewall.written == 3
    table.extend(ONE)
    assert firewall.written == 4, "once for each reconcile"
    assert _reason(table) is Reason.NFTABLES_RULESET_DIFFERS
    firewall.answers = False
    table.extend(ONE)
    assert _reason(table) is Reason.NFTABLES_FAILED


def test_table_that_is_removed_while_it_is_restored_is_restored_again(node: FakeNode) -> None:
    class Raced(FakeFirewall):
        def replace_table(self, ruleset: Ruleset) -> None:
            super().replace_table(ruleset)
            if node.effects.count("replace_table") == 2:
                node.firewall = Ruleset()

    table = FirewallTable(Raced(node))
    table.extend(ONE)
    node.firewall = Ruleset()
    assert table.restore()
    assert _reason(table) is Reason.NFTABLES_RULESET_DIFFERS
    assert table.restore()
    assert node.firewall == ONE
    assert _reason(table) is None


def _reason(table: FirewallTable) -> Reason | None:
    return table.problem.reason if table.problem else None
