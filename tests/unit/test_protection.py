"""Block policies and the nftables table are restored while they are wanted."""

from __future__ import annotations

import pytest

from isthmus.agent.protection import Protection
from isthmus.core.node import firewall, ipsec
from isthmus.model.errors import Conflict
from isthmus.model.node.firewall import Ruleset
from isthmus.model.node.host import KernelChange
from isthmus.model.node.tunnel import Vxlan
from tests.fakes.firewall import FakeFirewall
from tests.fakes.node import FakeNode, FakeXfrm

FIRST, SECOND = ipsec.blocks([Vxlan(14789)]), ipsec.blocks([Vxlan(14790)])
TABLE = firewall.ruleset([14789, 14790], [])


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def protection(node: FakeNode) -> Protection:
    return Protection(FakeXfrm(node), FakeFirewall(node))


def test_nothing_is_restored_before_there_is_a_plan(node: FakeNode, protection: Protection) -> None:
    node.blocks = FIRST
    assert not protection.restore()
    assert node.blocks == FIRST


def test_blocks_are_restored_until_they_are_not_wanted(node: FakeNode, protection: Protection) -> None:
    protection.extend(FIRST, TABLE)
    protection.extend(SECOND, TABLE)
    assert not protection.restore()
    node.flush_policies()
    assert protection.restore()
    assert node.blocks == FIRST | SECOND
    protection.limit(FIRST, TABLE)
    assert node.blocks == FIRST
    node.flush_policies()
    protection.restore()
    assert node.blocks == FIRST


def test_outdated_blocks_are_replaced(node: FakeNode, protection: Protection) -> None:
    protection.extend(FIRST, TABLE)
    node.outdated_blocks = frozenset(list(FIRST)[:1])
    assert protection.restore()
    assert node.outdated_blocks == frozenset()


def test_blocks_in_conflict_remain_wanted(node: FakeNode, protection: Protection) -> None:
    node.foreign_policies = SECOND
    with pytest.raises(Conflict):
        protection.extend(FIRST | SECOND, TABLE)
    assert node.blocks == FIRST
    assert node.firewall == TABLE, "the other fence does not depend on them"
    node.foreign_policies = frozenset()
    assert protection.restore()
    assert node.blocks == FIRST | SECOND


def test_table_is_restored_when_nftables_may_have_changed(node: FakeNode, protection: Protection) -> None:
    protection.extend(FIRST, TABLE)
    node.firewall = Ruleset()
    assert not protection.restore(KernelChange.POLICIES | KernelChange.ASSOCIATIONS)
    assert protection.restore(KernelChange.FIREWALL)
    assert not protection.restore(KernelChange.FIREWALL)
    assert node.firewall == TABLE


def test_blocks_do_not_depend_on_nftables(node: FakeNode, protection: Protection) -> None:
    node.has_nftables = False
    protection.extend(FIRST, TABLE)
    assert node.blocks == FIRST
    assert protection.firewall.problem is not None
    protection.limit(frozenset(), Ruleset())
    assert node.blocks == frozenset()
