"""Block policies are restored while they are wanted."""

from __future__ import annotations

import pytest

from isthmus.agent.protection import Protection
from isthmus.core.node import ipsec
from isthmus.model.errors import Conflict
from tests.fakes.node import FakeNode, FakeXfrm

FIRST, SECOND = ipsec.blocks([14789]), ipsec.blocks([14790])


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def protection(node: FakeNode) -> Protection:
    return Protection(FakeXfrm(node))


def test_nothing_is_restored_before_there_is_a_plan(node: FakeNode, protection: Protection) -> None:
    node.blocks = FIRST
    assert not protection.restore()
    assert node.blocks == FIRST


def test_blocks_are_restored_until_they_are_not_wanted(node: FakeNode, protection: Protection) -> None:
    protection.extend(FIRST)
    protection.extend(SECOND)
    assert not protection.restore()
    node.flush_policies()
    assert protection.restore()
    assert node.blocks == FIRST | SECOND
    protection.limit(FIRST)
    assert node.blocks == FIRST
    node.flush_policies()
    protection.restore()
    assert node.blocks == FIRST


def test_outdated_blocks_are_replaced(node: FakeNode, protection: Protection) -> None:
    protection.extend(FIRST)
    node.outdated_blocks = frozenset(list(FIRST)[:1])
    assert protection.restore()
    assert node.outdated_blocks == frozenset()


def test_blocks_in_conflict_remain_wanted(node: FakeNode, protection: Protection) -> None:
    node.foreign_policies = SECOND
    with pytest.raises(Conflict):
        protection.extend(FIRST | SECOND)
    assert node.blocks == FIRST
    node.foreign_policies = frozenset()
    assert protection.restore()
    assert node.blocks == FIRST | SECOND
