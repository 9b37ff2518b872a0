"""Contracts of ports.Ovsdb and ports.OpenFlow."""

from __future__ import annotations

import pytest

from isthmus.core.node import flows
from isthmus.model.errors import Conflict, Invalid, NotFound, Unavailable
from isthmus.model.names import BRIDGE, PROBE_PORT
from isthmus.model.node.flows import FlowTable, Meter, PlannedLink, PlannedNetwork, Traffic
from isthmus.model.node.switch import PatchPair, Ports
from isthmus.ports import OpenFlow, Ovsdb
from tests.testbed.host.process import wait_until

from .node import COOKIE, TUNNEL, ForeignSoftware, numbers_of

PATCH = PatchPair("isicontract", "isccontract", "00000000-0000-4000-8000-000000000001", "fa:16:3e:00:00:01")
PORTS = Ports(frozenset({TUNNEL}), frozenset({PATCH}))
INTERFACES = {TUNNEL.name, PATCH.cloud_name, PATCH.integration_name}
FOREIGN_COOKIE = 0xF0E1
TABLE = FlowTable(("table=0,priority=1 actions=drop", "table=1,priority=1 actions=drop"), (), COOKIE)
PROBE_MAC = "02:00:00:00:00:01"


class OvsdbContract:
    """Fixtures: `ovsdb`, `others`."""

    def test_bridge_is_created_once(self, ovsdb: Ovsdb) -> None:
        view = ovsdb.view()
        assert (view.exists, view.ports, view.ofport, view.leftovers) == (False, Ports(), {}, frozenset())
        assert view.hostname
        assert view.openvswitch_version
        ovsdb.ensure_bridge()
        numbers = numbers_of(ovsdb, {BRIDGE, PROBE_PORT})
        ovsdb.ensure_bridge()
        assert ovsdb.view().exists
        assert ovsdb.view().ofport == numbers

    def test_ports_exist_until_removed(self, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(Ports(PORTS.tunnels), ())
        before = numbers_of(ovsdb, {BRIDGE, PROBE_PORT, TUNNEL.name})
        ovsdb.apply(Ports(patches=PORTS.patches), ["istabsent"])
        numbers = numbers_of(ovsdb, {BRIDGE, PROBE_PORT, *INTERFACES})
        assert before.items() <= numbers.items()
        on_bridge = [number for name, number in numbers.items() if name != PATCH.integration_name]
        assert len(set(on_bridge)) == len(on_bridge)
        view = ovsdb.view()
        assert (view.ports, view.bfd_up, view.leftovers, view.errors) == (PORTS, {TUNNEL.name: False}, frozenset(), {})
        ovsdb.apply(PORTS, INTERFACES)
        assert ovsdb.view().ports == PORTS, "a port that is both removed and added is recreated"
        ovsdb.apply(Ports(), INTERFACES)
        assert (ovsdb.view().exists, ovsdb.view().ports) == (True, Ports())

    def test_remaining_patch_end_is_a_leftover(self, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ())
        ovsdb.apply(Ports(), [PATCH.cloud_name])
        view = ovsdb.view()
        assert view.ports == Ports(PORTS.tunnels)
        assert view.leftovers == {PATCH.integration_name}
        ovsdb.apply(PORTS, ())
        assert (ovsdb.view().ports, ovsdb.view().leftovers) == (PORTS, frozenset())

    def test_modified_port_is_a_leftover(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ())
        foreign.tamper(TUNNEL)
        wait_until(lambda: ovsdb.view().leftovers == {TUNNEL.name}, 5, "the leftover")
        assert ovsdb.view().ports == Ports(patches=PORTS.patches)
        ovsdb.apply(Ports(PORTS.tunnels), ovsdb.view().leftovers)
        assert (ovsdb.view().ports, ovsdb.view().leftovers) == (PORTS, frozenset())

    def test_foreign_tunnels_are_listed_and_kept(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        foreign.add_tunnel_port("theirs", 15000)
        wait_until(lambda: ovsdb.view().foreign_tunnel_udp_ports == {15000}, 5, "the foreign tunnel")
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ["theirs"])
        ovsdb.remove_bridge()
        assert ovsdb.view().foreign_tunnel_udp_ports == {15000}
        assert foreign.has_port("theirs")

    def test_a_refused_transaction_changes_nothing(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        """The database refuses a port whose name another port has; the port is not replaced, since it is not ours."""
        foreign.add_tunnel_port(PATCH.integration_name, 15000)
        wait_until(lambda: ovsdb.view().foreign_tunnel_udp_ports == {15000}, 5, "the foreign port")
        ovsdb.ensure_bridge()
        with pytest.raises(Invalid):
            ovsdb.apply(PORTS, ())
        assert ovsdb.view().ports == Ports()
        ovsdb.apply(Ports(PORTS.tunnels), ())
        assert ovsdb.view().ports == Ports(PORTS.tunnels)
        assert foreign.has_port(PATCH.integration_name)

    def test_foreign_bridge_is_a_conflict_and_is_kept(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        foreign.add_bridge()
        for _ in range(2):
            with pytest.raises(Conflict):
                ovsdb.ensure_bridge()
            assert not ovsdb.view().exists
            ovsdb.remove_bridge()

    def test_bridge_is_removed_with_its_ports(self, ovsdb: Ovsdb) -> None:
        with pytest.raises(NotFound):
            ovsdb.apply(Ports(PORTS.tunnels), ())
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ())
        for _ in range(2):
            ovsdb.remove_bridge()
            view = ovsdb.view()
            assert (view.exists, view.ports) == (False, Ports())
            assert view.leftovers == {PATCH.integration_name}


class OpenFlowContract:
    """Fixtures: `openflow`, `ovsdb`, `others`."""

    def test_no_flows_without_a_bridge(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        before = openflow.instance()
        openflow.replace(TABLE)
        ovsdb.remove_bridge()
        assert openflow.instance() == ""
        with pytest.raises(Unavailable):
            openflow.view()
        with pytest.raises(Unavailable):
            openflow.replace(TABLE)
        ovsdb.ensure_bridge()
        assert openflow.instance() not in ("", before)
        assert openflow.view().count_by_cookie == {}

    def test_flows_are_replaced_and_foreign_flows_kept(
        self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware
    ) -> None:
        ovsdb.ensure_bridge()
        foreign.add_flow(FOREIGN_COOKIE)
        for _ in range(2):
            openflow.replace(TABLE)
            assert openflow.view().count_by_cookie == {COOKIE: 2, FOREIGN_COOKIE: 1}
        metered = FlowTable(("table=0,priority=1 actions=meter:3,in_port",), (Meter(3, 10, 20),), COOKIE + 1)
        openflow.replace(metered)
        assert openflow.view().count_by_cookie == {COOKIE + 1: 1, FOREIGN_COOKIE: 1}
        openflow.replace(TABLE)
        assert openflow.view().count_by_cookie == {COOKIE: 2, FOREIGN_COOKIE: 1}

    def test_rejected_flows_change_nothing(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(TABLE)
        with pytest.raises(Invalid):
            openflow.replace(FlowTable((*TABLE.flows, "table=2,priority=1 actions=meter:77,in_port"), (), COOKIE + 1))
        assert openflow.view().count_by_cookie == {COOKIE: 2}

    def test_restarted_switch_is_a_new_instance_without_flows(
        self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware
    ) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(TABLE)
        before = openflow.instance()
        assert openflow.instance() == before
        foreign.restart_switch()
        assert openflow.instance() not in ("", before)
        assert openflow.view().count_by_cookie == {}

    def test_traffic_of_a_link_is_counted_from_zero(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ())
        numbers = numbers_of(ovsdb, {BRIDGE, PROBE_PORT, *INTERFACES})
        link = PlannedLink("cloud-b", TUNNEL.name, 0x100000, PROBE_MAC)
        table = flows.render([PlannedNetwork("net", PATCH.cloud_name, True, (), (link,))], numbers)
        openflow.replace(table)
        view = openflow.view()
        network, tunnel = numbers[PATCH.cloud_name], numbers[TUNNEL.name]
        assert view.count_by_cookie == {table.cookie: len(table.flows)}
        assert view.sent == {(network, tunnel): Traffic(0, 0)}
        assert view.received == {(tunnel, 0x100000): Traffic(0, 0)}
