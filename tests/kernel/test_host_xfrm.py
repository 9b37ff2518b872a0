"""Block policies on a real kernel: ownership, and replacement without a gap."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from isthmus.adapters.linux.netlink import HEADER, NetlinkSocket
from isthmus.adapters.linux.xfrm import NetlinkXfrm, messages, policies
from isthmus.core.node import ipsec
from isthmus.model.errors import Conflict
from isthmus.model.node.ipsec import BlockPolicy, BlockView
from isthmus.model.node.traffic import UdpPorts
from isthmus.ports import Xfrm
from tests.contract.host import ADDRESS, BLOCKS, IN, REMOTE
from tests.kernel.host import NODE, IpAndNft, host
from tests.kernel.openvswitch import inside, sh, within

_POLICY_GROUP = 1 << 3  # XFRMNLGRP_POLICY
_LOWEST_INDEX = 0x80000000
_UDP = "src 0.0.0.0/0 dst 0.0.0.0/0 proto udp dport"
_FOREIGN = (
    f"{_UDP} 15000 dir in action block priority 5",
    f"{_UDP} 15000 dir fwd action block priority 900000",
    f"{_UDP} 15000 dev lo dir out action block priority 900000",
    f"{_UDP} 14789 dir in action block priority 900000 mark 1 mask 1",
    f"{_UDP} 14789 dir in action block priority 900000 if_id 7",
    f"{_UDP} 15001 dir out action block priority 900000 flag localok",
    f"{_UDP} 15002 dir out action allow priority 900000",
    "src 10.0.0.1/8 dst 0.0.0.0/0 proto udp dport 15003 dir out action block priority 900000",
    "src 2001:db8::/32 dst ::/0 dir out priority 7 tmpl proto esp mode transport reqid 9",
)


@pytest.fixture(autouse=True)
def tools() -> Iterator[IpAndNft]:
    with host() as tools:
        yield tools


@pytest.fixture
def xfrm() -> Xfrm:
    return within(NODE, NetlinkXfrm())


def _indexes() -> set[int]:
    return {int(index) for index in re.findall(r" index (\d+) ", sh("ip -s xfrm policy list nosock", NODE))}


def _on_port(udp_port: int) -> BlockPolicy:
    return BlockPolicy("in", replace(IN.selector, traffic=UdpPorts(destination=udp_port)))


def test_own_policies_have_own_indexes(xfrm: Xfrm, tools: IpAndNft) -> None:
    xfrm.add_blocks(BLOCKS)
    assert _indexes() == {policies.own_indexes(block)[0] for block in BLOCKS}
    tools.add_policy(_on_port(15000))
    assert min(_indexes()) < _LOWEST_INDEX, "the kernel assigned an index of ours"


def test_foreign_policies_are_neither_listed_nor_changed(xfrm: Xfrm) -> None:
    for policy in _FOREIGN:
        sh(f"ip xfrm policy add {policy}", NODE)
    before = sh("ip xfrm policy list nosock", NODE)
    assert xfrm.blocks() == BlockView()
    xfrm.add_blocks(BLOCKS)
    assert xfrm.blocks() == BlockView(BLOCKS)
    xfrm.remove_blocks(BLOCKS)
    assert sh("ip xfrm policy list nosock", NODE) == before


def test_conflict_names_the_foreign_policy(xfrm: Xfrm, tools: IpAndNft) -> None:
    tools.add_policy(IN)
    with pytest.raises(Conflict) as refusal:
        xfrm.add_blocks(BLOCKS)
    (index,) = (index for index in _indexes() if index < _LOWEST_INDEX)
    assert str(refusal.value) == f"foreign XFRM policies: {IN} (action block priority 5 index {index})"


def test_block_gets_another_own_index_if_the_first_is_in_use(xfrm: Xfrm) -> None:
    first, second = policies.own_indexes(IN)[:2]

    def take() -> None:
        with NetlinkSocket(messages.NETLINK_XFRM, "XFRM") as kernel:
            kernel.change((messages.NEWPOLICY, policies.encoded(_on_port(15000), first), 0))

    inside(NODE, take)
    xfrm.add_blocks([IN])
    assert IN in xfrm.blocks().blocks - xfrm.blocks().outdated
    assert _indexes() == {first, second}


def test_outdated_block_is_updated_in_place(xfrm: Xfrm, tools: IpAndNft) -> None:
    xfrm.add_blocks(BLOCKS)
    sh(f"ip xfrm policy update {IN} action allow priority 7", NODE)
    tools.change_policy(next(iter(BLOCKS - {IN})))
    outdated = xfrm.blocks().outdated
    assert len(outdated) == 2
    with inside(NODE, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, messages.NETLINK_XFRM)) as events:
        events.bind((0, _POLICY_GROUP))
        xfrm.add_blocks(outdated)
        kinds = [HEADER.unpack_from(events.recv(HEADER.size))[1] for _ in outdated]
        assert kinds == [messages.UPDPOLICY] * 2
        with pytest.raises(BlockingIOError):
            events.recv(HEADER.size, socket.MSG_DONTWAIT)
    assert xfrm.blocks() == BlockView(BLOCKS)


def test_larval_states_are_not_listed(xfrm: Xfrm) -> None:
    for protocol in ("esp", "comp"):
        name = f"src {ADDRESS} dst {REMOTE} proto {protocol} mode transport reqid 7"
        sh(f"ip xfrm state allocspi {name} min 256 max 300", NODE)
    assert xfrm.associations(frozenset({ADDRESS})) == frozenset()


def test_five_hundred_blocks(xfrm: Xfrm) -> None:
    """Their dump takes several datagrams."""
    many = ipsec.icmp_unreachable_blocks(f"198.51.{i // 256}.{i % 256}" for i in range(500))
    xfrm.add_blocks(many)
    assert xfrm.blocks() == BlockView(many)
    xfrm.remove_blocks(many)
    assert xfrm.blocks() == BlockView()
