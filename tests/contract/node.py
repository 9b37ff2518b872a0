"""Contract of ports.DataplaneProbe; the other ports of a node are in charon.py, firewall.py, host.py and switch.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import pytest

from isthmus.model.errors import Unavailable
from isthmus.model.names import BRIDGE, PROBE_PORT
from isthmus.model.node.flows import FlowChanges, SetChange
from isthmus.model.node.pipeline import PROBE_REPLY_MAC, WHOLE_REQUEST_MAC, set_cookie
from isthmus.model.node.switch import EchoPort, Ports, TunnelPort
from isthmus.model.node.tunnel import TunnelEnds, Vxlan
from isthmus.ports import DataplaneProbe, OpenFlow, Ovsdb
from tests.contract.host import ADDRESS, REMOTE, UDP_PORT
from tests.testbed.host.process import wait_until

TUNNEL = TunnelPort("istcontract", Vxlan(UDP_PORT), TunnelEnds(ADDRESS, REMOTE))
COOKIE = set_cookie(1)
KNOWN_MAC, UNKNOWN_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
ANSWERED_SECONDS = 3.0  # milliseconds on an idle machine, where ovs-vswitchd has to see the first frame


class ForeignSoftware(Protocol):
    """What other software configures on the node, and what of it still exists."""

    def add_bridge(self) -> None:
        """Create a bridge with our bridge's name that is not ours."""

    def add_tunnel_port(self, name: str, udp_port: int) -> None:
        """Add a tunnel port to br-int."""

    def add_gre_port(self, name: str) -> None: ...
    def has_port(self, name: str) -> bool: ...
    def tamper(self, tunnel: TunnelPort) -> None:
        """Modify a port of ours so that it differs from what is wanted."""

    def put_flow(self, cookie: int, flow: str) -> None:
        """Add a flow to br-cloud, in place of one with the same match."""

    def learn(self, cookie: int) -> None:
        """Add a flow to the table of learned flows."""

    def learned(self) -> set[int]:
        """Cookies in the table of learned flows."""

    def restart_switch(self) -> None:
        """Restart ovs-vswitchd with the same database."""


def numbers_of(ovsdb: Ovsdb, names: set[str]) -> Mapping[str, int]:
    """OpenFlow port numbers of exactly these interfaces, as soon as all are assigned."""
    wait_until(lambda: ovsdb.view().ofport.keys() == names, 20, f"numbers of {sorted(names)}")
    return ovsdb.view().ofport


class ProbeContract:
    """Fixtures: `probe`, `openflow`, `ovsdb`."""

    def test_only_reflected_probes_are_answered(self, probe: DataplaneProbe, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        number = numbers_of(ovsdb, {BRIDGE, PROBE_PORT})[PROBE_PORT]
        match = f"table=0,priority=1,in_port={number},dl_src={KNOWN_MAC}"
        flow = f"{match} actions=set_field:{PROBE_REPLY_MAC}->eth_src,IN_PORT"
        openflow.replace(FlowChanges((SetChange(COOKIE, None, add=(flow,)),)))
        results = probe.exchange({"known": KNOWN_MAC, "unknown": UNKNOWN_MAC}, ANSWERED_SECONDS)
        assert {link: (r.sent, r.received) for link, r in results.items()} == {"known": (1, 1), "unknown": (1, 0)}
        assert (results["known"].rtt_seconds or 0) > 0
        assert results["unknown"].rtt_seconds is None
        assert probe.exchange({}, 0.5) == {}
        sizes = {"long": 1416, "too long": 1501}
        results = probe.exchange(dict.fromkeys(sizes, KNOWN_MAC), ANSWERED_SECONDS, 0.0, sizes)
        assert {link: (r.sent, r.received) for link, r in results.items()} == {"long": (1, 1), "too long": (0, 0)}

    def test_frames_that_may_not_be_fragmented_enter_by_flows_of_their_own(
        self, probe: DataplaneProbe, openflow: OpenFlow, ovsdb: Ovsdb
    ) -> None:
        ovsdb.ensure_bridge()
        number = numbers_of(ovsdb, {BRIDGE, PROBE_PORT})[PROBE_PORT]
        match = f"table=0,priority=1,in_port={number},dl_src={KNOWN_MAC},dl_dst={WHOLE_REQUEST_MAC},dl_type=0x88b5"
        flow = f"{match} actions=set_field:{PROBE_REPLY_MAC}->eth_src,IN_PORT"
        openflow.replace(FlowChanges((SetChange(COOKIE, None, add=(flow,)),)))
        for whole in (True, False):
            results = probe.exchange({"known": KNOWN_MAC}, ANSWERED_SECONDS, mtus={"known": 1000}, whole=whole)
            assert (results["known"].sent, results["known"].received) == (1, int(whole))

    def test_frames_of_any_underlay_can_be_sent_once_there_is_an_echo_port(
        self, probe: DataplaneProbe, ovsdb: Ovsdb
    ) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(Ports(echoes=frozenset({EchoPort(TUNNEL.encapsulation)})), ())
        sizes = {"jumbo": 8916, "too long": 65_501}
        results = probe.exchange(dict.fromkeys(sizes, UNKNOWN_MAC), 0.5, mtus=sizes)
        assert {name: result.sent for name, result in results.items()} == {"jumbo": 1, "too long": 0}

    def test_frames_with_the_same_address_have_a_result_each(
        self, probe: DataplaneProbe, openflow: OpenFlow, ovsdb: Ovsdb
    ) -> None:
        """As `isthmus probe` sends them."""
        ovsdb.ensure_bridge()
        number = numbers_of(ovsdb, {BRIDGE, PROBE_PORT})[PROBE_PORT]
        match = f"table=0,priority=1,in_port={number},dl_src={KNOWN_MAC}"
        flow = f"{match} actions=set_field:{PROBE_REPLY_MAC}->eth_src,IN_PORT"
        openflow.replace(FlowChanges((SetChange(COOKIE, None, add=(flow,)),)))
        macs = {str(number): KNOWN_MAC for number in range(10)}
        results = probe.exchange(macs, ANSWERED_SECONDS, 0.2, dict.fromkeys(macs, 1000))
        assert {name: (r.sent, r.received) for name, r in results.items()} == dict.fromkeys(macs, (1, 1))

    def test_probe_without_bridge_fails(self, probe: DataplaneProbe) -> None:
        with pytest.raises(Unavailable):
            probe.exchange({"known": KNOWN_MAC}, 0.5)
