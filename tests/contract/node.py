"""Contracts of ports.Xfrm, ports.Netlink and ports.DataplaneProbe (the other ports of a node: charon.py, switch.py)."""

from __future__ import annotations

from typing import Protocol

import pytest

from isthmus.core.node import ipsec
from isthmus.model.errors import Conflict, Unavailable
from isthmus.model.names import BRIDGE, PROBE_PORT
from isthmus.model.node.flows import FlowTable
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.ipsec import BlockPolicy, SecurityAssociation
from isthmus.model.node.pipeline import COOKIE_SHIFT, OWNER, PROBE_REPLY_MAC
from isthmus.model.node.switch import TunnelPort
from isthmus.ports import DataplaneProbe, Netlink, OpenFlow, Ovsdb, Xfrm
from tests.testbed.host.process import wait_until

ADDRESS, REMOTE, UDP_PORT = "192.0.2.1", "192.0.2.2", 14789
BLOCKS = ipsec.blocks([UDP_PORT]) | ipsec.icmp_unreachable_blocks([REMOTE])
TUNNEL = TunnelPort("istcontract", ADDRESS, REMOTE, UDP_PORT)
COOKIE = OWNER << COOKIE_SHIFT | 1
KNOWN_MAC, UNKNOWN_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"


class ForeignSoftware(Protocol):
    """What other software configures on the node, and what of it still exists."""

    def add_policy(self, block: BlockPolicy) -> None:
        """Add a foreign policy for the packets of a block policy."""

    def has_policy(self, block: BlockPolicy) -> bool: ...
    def add_association(self, association: SecurityAssociation) -> None: ...
    def add_tunnel_device(self, udp_port: int) -> None:
        """Create a tunnel in the kernel, without Open vSwitch."""

    def add_bridge(self) -> None:
        """Create a bridge with our bridge's name that is not ours."""

    def add_tunnel_port(self, name: str, udp_port: int) -> None:
        """Add a tunnel port to br-int."""

    def has_port(self, name: str) -> bool: ...
    def tamper(self, tunnel: TunnelPort) -> None:
        """Modify a port of ours so that it differs from what is wanted."""

    def add_flow(self, cookie: int) -> None:
        """Add a flow to br-cloud."""

    def restart_switch(self) -> None:
        """Restart ovs-vswitchd with the same database."""


def numbers_of(ovsdb: Ovsdb, names: set[str]) -> dict[str, int]:
    """OpenFlow port numbers of exactly these interfaces, as soon as all are assigned."""
    wait_until(lambda: ovsdb.view().ofport.keys() == names, 5, f"numbers of {sorted(names)}")
    return ovsdb.view().ofport


class XfrmContract:
    """Fixtures: `xfrm`, `others`."""

    def test_block_policies_exist_until_removed(self, xfrm: Xfrm) -> None:
        out, *rest = sorted(BLOCKS, key=repr)
        xfrm.add_blocks(BLOCKS)
        assert xfrm.view(frozenset()).blocks == BLOCKS
        xfrm.remove_blocks([out])
        assert xfrm.view(frozenset()).blocks == frozenset(rest)
        xfrm.remove_blocks(BLOCKS)
        xfrm.remove_blocks(BLOCKS)
        assert xfrm.view(frozenset()).blocks == frozenset()

    def test_adding_and_removing_no_block_policies_succeeds(self, xfrm: Xfrm) -> None:
        xfrm.add_blocks([])
        xfrm.remove_blocks([])
        xfrm.remove_associations([])

    def test_foreign_policy_is_a_conflict_and_is_kept(self, xfrm: Xfrm, foreign: ForeignSoftware) -> None:
        theirs = BlockPolicy("in", destination_port=UDP_PORT)
        foreign.add_policy(theirs)
        with pytest.raises(Conflict):
            xfrm.add_blocks(BLOCKS)
        seen = xfrm.view(frozenset()).blocks
        assert theirs not in seen
        xfrm.remove_blocks(seen)
        assert foreign.has_policy(theirs)

    def test_only_states_of_our_addresses_are_listed_and_removed(self, xfrm: Xfrm, foreign: ForeignSoftware) -> None:
        sent, received = (
            SecurityAssociation(source, destination, 1000, "esp", 7)
            for source, destination in ((ADDRESS, REMOTE), (REMOTE, ADDRESS))
        )
        unrelated = SecurityAssociation("198.51.100.1", "198.51.100.2", 1002, "esp", 8)
        for association in (sent, received, unrelated):
            foreign.add_association(association)
        assert xfrm.view(frozenset({ADDRESS})).associations == {sent, received}
        xfrm.remove_associations([sent])
        xfrm.remove_associations([sent])
        assert xfrm.view(frozenset({ADDRESS})).associations == {received}
        assert xfrm.view(frozenset({unrelated.source})).associations == {unrelated}


class NetlinkContract:
    """Fixtures: `netlink`, `others`, and an `address` of the node."""

    def test_kernel_addresses_and_tunnels_are_listed(
        self, netlink: Netlink, foreign: ForeignSoftware, address: NodeAddress
    ) -> None:
        before = netlink.view()
        assert address in before.addresses
        assert before.tunnel_udp_ports == frozenset()
        assert before.kernel
        foreign.add_tunnel_device(15001)
        assert netlink.view().tunnel_udp_ports == {15001}


class ProbeContract:
    """Fixtures: `probe`, `openflow`, `ovsdb`."""

    def test_only_reflected_probes_are_answered(self, probe: DataplaneProbe, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        number = numbers_of(ovsdb, {BRIDGE, PROBE_PORT})[PROBE_PORT]
        match = f"table=0,priority=1,in_port={number},dl_src={KNOWN_MAC}"
        openflow.replace(FlowTable((f"{match} actions=set_field:{PROBE_REPLY_MAC}->eth_src,in_port",), (), COOKIE))
        results = probe.exchange({"known": KNOWN_MAC, "unknown": UNKNOWN_MAC}, 0.5)
        assert {link: (r.sent, r.received) for link, r in results.items()} == {"known": (1, 1), "unknown": (1, 0)}
        assert (results["known"].rtt_seconds or 0) > 0
        assert results["unknown"].rtt_seconds is None
        assert probe.exchange({}, 0.5) == {}

    def test_probe_without_bridge_fails(self, probe: DataplaneProbe) -> None:
        with pytest.raises(Unavailable):
            probe.exchange({"known": KNOWN_MAC}, 0.5)
