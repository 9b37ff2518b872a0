"""Contracts of ports.Ovsdb and ports.OpenFlow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isthmus.core.node.flows import Echo, Link, Network, common_set, network_set, peer_set
from isthmus.core.node.flowsets import differences
from isthmus.model.errors import Conflict, Invalid, NotFound, Unavailable
from isthmus.model.names import BRIDGE, PROBE_PORT
from isthmus.model.node.flows import (
    BandwidthMeter,
    FlowChanges,
    FlowView,
    KnownAddress,
    LinkTraffic,
    PacketMeter,
    SetChange,
)
from isthmus.model.node.numbers import MAX_MEMBER, MAX_NETWORK, Numbers
from isthmus.model.node.pipeline import (
    LEARNED_OF_NETWORK_MASK,
    Direction,
    bandwidth_meter,
    learned_cookie,
    set_cookie,
    storm_meter,
)
from isthmus.model.node.switch import EchoPort, PatchPair, Ports
from isthmus.ports import OpenFlow, Ovsdb
from tests.testbed.host.process import wait_until

from .node import TUNNEL, ForeignSoftware, numbers_of

PATCH = PatchPair("isicontract", "isccontract", "00000000-0000-4000-8000-000000000001", "fa:16:3e:00:00:01")
PORTS = Ports(frozenset({TUNNEL}), frozenset({PATCH}))
ECHO = EchoPort(TUNNEL.encapsulation)
NUMBERS = Numbers({PATCH.cloud_name: 7}, {"cloud-b": 3, "cloud-c": 4}, 7, 4)
INTERFACES = {TUNNEL.name, PATCH.cloud_name, PATCH.integration_name}
FOREIGN_COOKIE = 0xF0E1
FOREIGN_FLOW = "table=9,priority=7 actions=drop"
RED, BLUE = set_cookie(1), set_cookie(2)
RED_FLOWS = ("table=0,priority=1 actions=drop", "table=1,priority=1,in_port=7 actions=goto_table:2")
RED_SET = frozenset(RED_FLOWS)
METER = PacketMeter(3, 10, 20)
METERED = "table=0,priority=2,in_port=3 actions=meter:3,IN_PORT"
CHANGES = FlowChanges((SetChange(RED, None, add=RED_FLOWS), SetChange(BLUE, None, add=(METERED,), meters=(METER,))))
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

    def test_echo_ports_exist_beside_tunnels(self, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        wanted = replace(PORTS, echoes=frozenset({ECHO}))
        ovsdb.apply(wanted, ())
        numbers = numbers_of(ovsdb, {BRIDGE, PROBE_PORT, *INTERFACES, ECHO.name})
        assert numbers[ECHO.name] != numbers[TUNNEL.name]
        view = ovsdb.view()
        assert (view.ports, view.bfd_up, view.leftovers, view.errors) == (wanted, {TUNNEL.name: False}, frozenset(), {})
        ovsdb.apply(Ports(), [ECHO.name])
        assert (ovsdb.view().ports, ovsdb.view().leftovers) == (PORTS, frozenset())
        ovsdb.apply(Ports(echoes=frozenset({ECHO})), [TUNNEL.name])
        assert ovsdb.view().ports == replace(wanted, tunnels=frozenset())
        assert ovsdb.view().foreign_tunnel_udp_ports == frozenset()

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
        wait_until(lambda: ovsdb.view().leftovers == {TUNNEL.name}, 20, "the leftover")
        assert ovsdb.view().ports == Ports(patches=PORTS.patches)
        ovsdb.apply(Ports(PORTS.tunnels), ovsdb.view().leftovers)
        assert (ovsdb.view().ports, ovsdb.view().leftovers) == (PORTS, frozenset())

    def test_foreign_tunnels_are_listed_and_kept(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        foreign.add_tunnel_port("theirs", 15000)
        wait_until(lambda: ovsdb.view().foreign_tunnel_udp_ports == {15000}, 20, "the foreign tunnel")
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ["theirs"])
        ovsdb.remove_bridge()
        assert ovsdb.view().foreign_tunnel_udp_ports == {15000}
        assert foreign.has_port("theirs")

    def test_foreign_gre_shares_the_device_of_ours(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        assert not ovsdb.view().gre_is_shared
        foreign.add_gre_port("theirs")
        wait_until(lambda: ovsdb.view().gre_is_shared, 20, "the foreign GRE port")

    def test_a_refused_transaction_changes_nothing(self, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        """The database refuses a port whose name another port has; the port is not replaced, since it is not ours."""
        foreign.add_tunnel_port(PATCH.integration_name, 15000)
        wait_until(lambda: ovsdb.view().foreign_tunnel_udp_ports == {15000}, 20, "the foreign port")
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

    def test_numbers_are_kept_as_long_as_what_they_number(self, ovsdb: Ovsdb) -> None:
        ovsdb.set_numbers(NUMBERS)
        assert ovsdb.view().numbers == Numbers()
        ovsdb.ensure_bridge()
        ovsdb.apply(PORTS, ())
        assert ovsdb.view().numbers == Numbers()
        ovsdb.set_numbers(replace(NUMBERS, networks={**NUMBERS.networks, "iscabsent": 8}))
        assert ovsdb.view().numbers == NUMBERS
        ovsdb.set_numbers(replace(NUMBERS, networks={}, members={"cloud-c": 5}, last_member=5))
        assert ovsdb.view().numbers == replace(NUMBERS, members={"cloud-c": 5}, last_member=5)
        assert ovsdb.view().ports == PORTS
        ovsdb.apply(Ports(patches=PORTS.patches), INTERFACES)
        assert ovsdb.view().numbers == Numbers({}, {"cloud-c": 5}, 7, 5)
        ovsdb.remove_bridge()
        assert ovsdb.view().numbers == Numbers()

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
    """Fixtures: `openflow`, `ovsdb`, `foreign`."""

    def test_no_flows_without_a_bridge(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        before = openflow.instance()
        openflow.replace(CHANGES)
        ovsdb.remove_bridge()
        assert openflow.instance() == ""
        wait_until(lambda: openflow.changed() is None, 20, "the end of the flow monitor")
        for call in (openflow.view, lambda: openflow.flows_of(RED), lambda: openflow.replace(CHANGES)):
            with pytest.raises(Unavailable):
                call()
        ovsdb.ensure_bridge()
        assert openflow.instance() not in ("", before)
        assert openflow.view() == FlowView({})

    def test_directory_of_a_running_switch_is_not_deleted(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        assert not openflow.mounted_directory_is_deleted()
        ovsdb.ensure_bridge()
        assert not openflow.mounted_directory_is_deleted()

    def test_flows_are_changed_one_by_one(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        for _ in range(2):
            openflow.replace(CHANGES)
            assert openflow.view() == FlowView({RED: RED_SET, BLUE: frozenset({METERED})}, frozenset({METER}))
        assert openflow.flows_of(RED) == RED_SET
        assert openflow.flows_of(0x77) == frozenset()
        other = METERED.replace("table=0", "table=1")
        modified = replace(METER, packets_per_second=11)
        blue = SetChange(BLUE, None, delete=(METERED.split(" ")[0],), add=(other,), meters=(modified,))
        openflow.replace(FlowChanges((blue,)))
        assert openflow.view() == FlowView({RED: RED_SET, BLUE: frozenset({other})}, frozenset({modified}))
        openflow.replace(FlowChanges((SetChange(BLUE, None, (1,)),), delete_meters=(METER.id,)))
        assert openflow.view() == FlowView({RED: RED_SET})

    def test_a_flow_takes_the_place_of_one_with_the_same_match(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(CHANGES)
        flow = RED_FLOWS[0].replace("drop", "IN_PORT")
        openflow.replace(FlowChanges((SetChange(BLUE, None, add=(flow,)),)))
        assert openflow.view().flows == {RED: RED_SET - {RED_FLOWS[0]}, BLUE: {METERED, flow}}

    def test_flows_of_another_cookie_are_not_deleted(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(CHANGES)
        match = METERED.split(" ")[0]
        openflow.replace(FlowChanges((SetChange(RED, None, (0,), (match,)),)))
        assert openflow.view().flows == {RED: frozenset(RED_FLOWS[1:]), BLUE: frozenset({METERED})}

    def test_changes_by_anybody_are_reported(self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        ovsdb.ensure_bridge()
        wait_until(lambda: openflow.changed() is not None, 20, "the flow monitor")
        openflow.replace(CHANGES)
        _wait_for_change(openflow, RED)
        foreign.put_flow(FOREIGN_COOKIE, FOREIGN_FLOW)
        _wait_for_change(openflow, FOREIGN_COOKIE)
        foreign.put_flow(RED, RED_FLOWS[0].replace("drop", "IN_PORT"))
        _wait_for_change(openflow, RED)
        openflow.replace(FlowChanges((SetChange(RED, None, (0, 1)),)))
        _wait_for_change(openflow, RED)
        foreign.put_flow(FOREIGN_COOKIE, FOREIGN_FLOW.replace("9", "11"))
        _wait_for_change(openflow, FOREIGN_COOKIE)  # what is left of those before it is reported before it
        foreign.learn(learned_cookie(1, 2))
        foreign.put_flow(FOREIGN_COOKIE, FOREIGN_FLOW.replace("9", "10"))
        assert _wait_for_change(openflow, FOREIGN_COOKIE) == {FOREIGN_COOKIE}, "learned flows are not reported"
        assert openflow.changed() == frozenset()

    def test_learned_flows_are_neither_listed_nor_touched(
        self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware
    ) -> None:
        ovsdb.ensure_bridge()
        learned = {learned_cookie(1, 2), learned_cookie(1, 3), learned_cookie(2, 2)}
        for cookie in learned:
            foreign.learn(cookie)
        openflow.replace(CHANGES)
        assert openflow.view().flows.keys() == {RED, BLUE}
        assert not openflow.view().foreign_learned
        assert foreign.learned() == learned

    def test_learned_flows_are_forgotten(self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware) -> None:
        ovsdb.ensure_bridge()
        for cookie in (learned_cookie(1, 2), learned_cookie(1, 3), learned_cookie(2, 2), learned_cookie(2, 3)):
            foreign.learn(cookie)
        one = (learned_cookie(1, 2), 2**64 - 1)
        openflow.replace(FlowChanges((SetChange(RED, None, forget=(one,)),)))
        assert foreign.learned() == {learned_cookie(1, 3), learned_cookie(2, 2), learned_cookie(2, 3)}
        network = (learned_cookie(2), LEARNED_OF_NETWORK_MASK)
        openflow.replace(FlowChanges((SetChange(RED, None, forget=(network,)),)))
        assert foreign.learned() == {learned_cookie(1, 3)}

    def test_foreign_flows_among_learned_ones_are_deleted(
        self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware
    ) -> None:
        ovsdb.ensure_bridge()
        foreign.learn(learned_cookie(1, 3))
        for cookie in (0, FOREIGN_COOKIE, RED):
            foreign.learn(cookie)
        assert openflow.view().foreign_learned
        openflow.replace(FlowChanges(delete_foreign_learned=True))
        assert not openflow.view().foreign_learned
        assert foreign.learned() == {learned_cookie(1, 3)}

    def test_rejected_flows_change_nothing(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(CHANGES)
        changes = (
            SetChange(RED, None, (0, 1)),
            SetChange(BLUE, None, add=("table=2,priority=1 actions=meter:77,IN_PORT",)),
        )
        with pytest.raises(Invalid):
            openflow.replace(FlowChanges(changes))
        assert openflow.view().flows == {RED: RED_SET, BLUE: frozenset({METERED})}

    def test_rejected_meter_changes_no_flow(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(CHANGES)
        change = SetChange(
            RED, None, (0, 1), add=(METERED,), meters=(PacketMeter(METER.id, 12, 24), replace(METER, id=0))
        )
        with pytest.raises(Invalid):
            openflow.replace(FlowChanges((change,)))
        assert openflow.view().flows == {RED: RED_SET, BLUE: frozenset({METERED})}

    def test_thousands_of_meters_are_changed_at_once(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        """Those of 1,000 networks; their IDs are up to OFPM_MAX (OpenFlow 1.5, section 7.3.4.4)."""
        ovsdb.ensure_bridge()
        numbers = [*range(1, 500), *range(MAX_NETWORK - 500, MAX_NETWORK + 1)]
        meters = [PacketMeter(storm_meter(number, sender), 10, 20) for number in numbers for sender in (0, MAX_MEMBER)]
        openflow.replace(FlowChanges((SetChange(RED, None, meters=tuple(meters)),)))
        assert openflow.view().meters == {*meters}
        modified = [replace(meter, packets_per_second=11) for meter in meters[:1200]]
        openflow.replace(FlowChanges((SetChange(RED, None, meters=tuple(modified)),)))
        assert openflow.view().meters == {*modified, *meters[1200:]}
        openflow.replace(FlowChanges(delete_meters=tuple(meter.id for meter in meters)))
        assert openflow.view() == FlowView({})

    def test_meters_of_bandwidth(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        """Of 1 Mbit/s and of the most that a peer can be given, at the ends of their numbers."""
        ovsdb.ensure_bridge()
        meters = [BandwidthMeter(bandwidth_meter(1, Direction.SENT), 1000, 100)]
        meters.append(BandwidthMeter(bandwidth_meter(MAX_MEMBER, Direction.RECEIVED), 1_000_000_000, 100_000_000))
        openflow.replace(FlowChanges((SetChange(RED, None, meters=tuple(meters)),)))
        assert openflow.view().meters == {*meters}
        modified = [replace(meter, kilobits_per_second=2000) for meter in meters]
        openflow.replace(FlowChanges((SetChange(RED, None, meters=tuple(modified)),)))
        assert openflow.view() == FlowView({}, frozenset(modified))
        openflow.replace(FlowChanges(delete_meters=tuple(meter.id for meter in meters)))
        assert openflow.view() == FlowView({})

    def test_restarted_switch_is_a_new_instance_without_flows(
        self, openflow: OpenFlow, ovsdb: Ovsdb, foreign: ForeignSoftware
    ) -> None:
        ovsdb.ensure_bridge()
        openflow.replace(CHANGES)
        before = openflow.instance()
        assert openflow.instance() == before
        wait_until(lambda: openflow.changed() is not None, 20, "the flow monitor")
        foreign.restart_switch()
        assert openflow.instance() not in ("", before)
        assert openflow.view() == FlowView({})

    def test_traffic_of_a_link_is_counted_from_zero(self, openflow: OpenFlow, ovsdb: Ovsdb) -> None:
        ovsdb.ensure_bridge()
        ovsdb.apply(replace(PORTS, echoes=frozenset({ECHO})), ())
        numbers = numbers_of(ovsdb, {BRIDGE, PROBE_PORT, ECHO.name, *INTERFACES})
        echo = Echo(numbers[ECHO.name], TUNNEL.ends)
        known = (KnownAddress("10.20.0.129", "fa:16:3e:00:00:02"), KnownAddress("10.20.0.130", "00:16:3e:00:00:03"))
        link = Link(3, numbers[TUNNEL.name], 0x100000, PROBE_MAC, echo, known)
        network = Network("net", 5, numbers[PATCH.cloud_name], True, ("10.20.0.1",), (link,), ("fd00::1", "fe80::1"))
        sets = [
            common_set(),
            peer_set("cloud-b", 3, [numbers[TUNNEL.name]], 1, numbers[PROBE_PORT]),
            network_set(network, numbers[PROBE_PORT]),
        ]
        changes = differences({found.cookie: found for found in sets}, {})
        openflow.replace(FlowChanges(tuple(changes)))
        view = openflow.view()
        assert view.flows == {found.cookie: found.flows for found in sets}
        assert view.traffic == {(5, 3): LinkTraffic()}


def _wait_for_change(openflow: OpenFlow, cookie: int) -> set[int]:
    """All cookies that are reported until that one is."""
    reported: set[int] = set()

    def found() -> bool:
        reported.update(openflow.changed() or ())
        return cookie in reported

    wait_until(found, 20, f"a change of cookie {cookie:#x}")
    return reported
