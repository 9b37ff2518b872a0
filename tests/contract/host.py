"""Contracts of ports.Xfrm and ports.Netlink (monitor.py: ports.KernelMonitor)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

import pytest

from isthmus.core.node import ipsec
from isthmus.model.errors import Conflict
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import BlockPolicy, BlockView, SecurityAssociation
from isthmus.model.node.traffic import AnyTraffic, Selector, UdpPorts
from isthmus.model.node.tunnel import Vxlan
from isthmus.ports import Netlink, Xfrm

ADDRESS, REMOTE, UDP_PORT = "192.0.2.1", "192.0.2.2", 14789
_ANYWHERE, _ANYWHERE_V6 = IPv4Network("0.0.0.0/0"), IPv6Network("::/0")
IN = BlockPolicy("in", Selector(_ANYWHERE, _ANYWHERE, UdpPorts(destination=UDP_PORT)))
IPV6 = BlockPolicy("in", Selector(_ANYWHERE_V6, _ANYWHERE_V6, UdpPorts(destination=UDP_PORT)))
GRE = BlockPolicy("out", Selector(_ANYWHERE, IPv4Network("192.0.2.0/24"), AnyTraffic(47)))
BLOCKS = ipsec.blocks([Vxlan(UDP_PORT)]) | ipsec.icmp_unreachable_blocks([REMOTE, "2001:db8::2"]) | {IPV6, GRE}


class HostTools(Protocol):
    """What other software configures in the node's kernel, and what of it still exists."""

    def add_policy(self, block: BlockPolicy) -> None:
        """A foreign policy with the selector of a block."""

    def has_policy(self, block: BlockPolicy) -> bool: ...
    def change_policy(self, block: BlockPolicy) -> None:
        """Give a block of ours another priority."""

    def add_former_block(self, block: BlockPolicy) -> None:
        """As earlier releases did, which left the index to the kernel."""

    def flush_policies(self) -> None: ...
    def add_association(self, association: SecurityAssociation) -> None: ...
    def add_tunnel_device(self, udp_port: int) -> None:
        """A VXLAN device that Open vSwitch did not create."""

    def add_address(self, address: str) -> None: ...
    def add_nftables_table(self, name: str) -> None: ...
    def flush_ruleset(self) -> None:
        """Delete all nftables tables."""


class XfrmContract:
    """Fixtures: `xfrm`, `tools`."""

    def test_block_policies_exist_until_removed(self, xfrm: Xfrm) -> None:
        out, *rest = sorted(BLOCKS, key=str)
        xfrm.add_blocks(BLOCKS)
        xfrm.add_blocks(BLOCKS)
        assert xfrm.blocks() == BlockView(BLOCKS)
        xfrm.remove_blocks([out])
        assert xfrm.blocks() == BlockView(frozenset(rest))
        xfrm.remove_blocks(BLOCKS)
        xfrm.remove_blocks(BLOCKS)
        assert xfrm.blocks() == BlockView()

    def test_adding_and_removing_no_block_policies_succeeds(self, xfrm: Xfrm) -> None:
        xfrm.add_blocks([])
        xfrm.remove_blocks([])
        xfrm.remove_associations([])

    def test_foreign_policy_is_a_conflict_and_is_kept(self, xfrm: Xfrm, tools: HostTools) -> None:
        tools.add_policy(IN)
        with pytest.raises(Conflict, match=f"dport {UDP_PORT}"):
            xfrm.add_blocks(BLOCKS)
        assert xfrm.blocks() == BlockView(BLOCKS - {IN}), "other blocks are added all the same"
        xfrm.remove_blocks(BLOCKS)
        assert tools.has_policy(IN)

    def test_changed_block_is_ours_and_is_corrected(self, xfrm: Xfrm, tools: HostTools) -> None:
        xfrm.add_blocks(BLOCKS)
        for block in (IN, IPV6):
            tools.change_policy(block)
        assert xfrm.blocks() == BlockView(BLOCKS, frozenset({IN, IPV6}))
        xfrm.remove_blocks([IPV6])
        assert xfrm.blocks() == BlockView(BLOCKS - {IPV6}, frozenset({IN}))
        xfrm.add_blocks([IN, IPV6])
        assert xfrm.blocks() == BlockView(BLOCKS)

    def test_block_of_an_earlier_release_is_ours_and_is_corrected(self, xfrm: Xfrm, tools: HostTools) -> None:
        tools.add_former_block(IN)
        assert xfrm.blocks() == BlockView(frozenset({IN}), frozenset({IN}))
        xfrm.add_blocks(BLOCKS)
        assert xfrm.blocks() == BlockView(BLOCKS)

    def test_only_states_of_our_addresses_are_listed_and_removed(self, xfrm: Xfrm, tools: HostTools) -> None:
        sent, received = (
            SecurityAssociation(source, destination, 1000, "esp", 7)
            for source, destination in ((ADDRESS, REMOTE), (REMOTE, ADDRESS))
        )
        foreign = SecurityAssociation("198.51.100.1", "198.51.100.2", 1002, "esp", 8)
        for association in (sent, received, foreign):
            tools.add_association(association)
        assert xfrm.associations(frozenset({ADDRESS})) == {sent, received}
        xfrm.remove_associations([sent])
        xfrm.remove_associations([sent])
        assert xfrm.associations(frozenset({ADDRESS})) == {received}
        assert xfrm.associations(frozenset({foreign.source})) == {foreign}


class NetlinkContract:
    """Fixtures: `netlink`, `tools`, and an `address` of the node."""

    def test_kernel_addresses_and_tunnels_are_listed(
        self, netlink: Netlink, tools: HostTools, address: NodeAddress
    ) -> None:
        before = netlink.view()
        assert address in before.addresses
        assert before.tunnel_udp_ports == frozenset()
        assert before.kernel
        tools.add_tunnel_device(15001)
        assert netlink.view().tunnel_udp_ports == {15001}
