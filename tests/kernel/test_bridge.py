"""br-cloud on the kernel's data path: two clouds on one node, our adapters on the real Open vSwitch."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from isthmus.adapters.linux.rtnl import RtNetlink
from isthmus.model.errors import Conflict
from isthmus.model.node.switch import Ports
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.bridged import GATEWAY, TAGS, Cloud
from tests.kernel.frames import BROADCAST, arp, bfd_down, frame, ipv4_udp, what_never_crosses
from tests.kernel.openvswitch import Machine, inside, received_with, sh
from tests.testbed.host.process import wait_until


def test_tenants_with_equal_addresses_are_isolated(machines: dict[str, Machine]) -> None:
    for network in TAGS:
        a, b = machines[f"a-{network}"], machines[f"b-{network}"]
        assert a.ping("10.20.0.12") == 3
        assert b.mac in sh("ip neigh show 10.20.0.12", a.netns)
        assert b.ping("10.20.0.11") == 3


def test_probe_is_answered_only_where_the_peer_has_the_link(clouds: tuple[Cloud, Cloud]) -> None:
    a, b = clouds
    assert a.probe() == b.probe() == {"red": 1, "blue": 1}
    b.install(b.networks[:1])
    try:
        wait_until(lambda: a.probe() == {"red": 1, "blue": 0}, 20, "blue's probe to be unanswered")
    finally:
        b.install()


def test_bfd_comes_up(clouds: tuple[Cloud, Cloud]) -> None:
    for cloud in clouds:
        wait_until(lambda: all(cloud.database.view().bfd_up.values()), 30, "BFD")  # noqa: B023
        assert len(cloud.database.view().bfd_up) == 1


def test_machine_cannot_forge_bfd_of_the_peers_gateway(
    clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]
) -> None:
    """BFD packets of tenants cross unchanged and do not affect the tunnel's session (compare CVE-2024-2182)."""
    sender, receiver, b = machines["a-red"], machines["b-red"], clouds[1]
    down = bfd_down(my_discriminator=0x01020304)
    sent = frame(receiver.mac, sender.mac, ipv4_udp("10.20.0.11", "10.20.0.12", 49152, 3784, down, ttl=255))

    def forge() -> None:
        assert all(_crosses(sender, receiver, sent) for _ in range(3))

    assert b.keeps_bfd_up(forge)


def _crosses(sender: Machine, receiver: Machine, sent: bytes) -> bool:
    """Whether a frame arrives; a plain broadcast sent after it shows that the path works."""
    witness = frame(BROADCAST, sender.mac, ipv4_udp("10.20.0.99", "255.255.255.255", 9, 9))
    with receiver.listening() as received:
        sender.send(sent)
        sender.send(witness)
        frames = received_with(received, lambda found: witness in found)
    assert witness in frames
    return sent in frames


@pytest.mark.parametrize("direction", [("a", "b"), ("b", "a")])
def test_guarded_frames_never_cross(machines: dict[str, Machine], direction: tuple[str, str]) -> None:
    sender, receiver = (machines[f"{side}-red"] for side in direction)
    assert [what for what, sent in what_never_crosses(sender.mac).items() if _crosses(sender, receiver, sent)] == []


@pytest.mark.parametrize(("direction", "expected"), [(("a", "b"), True), (("b", "a"), False)])
def test_gateway_is_announced_by_the_origin_only(
    machines: dict[str, Machine], direction: tuple[str, str], expected: bool
) -> None:
    sender, receiver = (machines[f"{side}-red"] for side in direction)
    claims = {
        "request": frame(BROADCAST, sender.mac, arp(1, sender.mac, GATEWAY, "10.20.0.50")),
        "reply": frame(BROADCAST, sender.mac, arp(2, sender.mac, GATEWAY, "10.20.0.50")),
    }
    assert {what: _crosses(sender, receiver, sent) for what, sent in claims.items()} == dict.fromkeys(claims, expected)


def test_other_arp_and_requests_for_the_gateway_cross(machines: dict[str, Machine]) -> None:
    a, b = machines["a-red"], machines["b-red"]
    assert _crosses(b, a, frame(BROADCAST, b.mac, arp(1, b.mac, "10.20.0.12", GATEWAY)))


def test_configuration_is_read_back_and_reapplying_changes_nothing(clouds: tuple[Cloud, Cloud]) -> None:
    for cloud in clouds:
        view = cloud.database.view()
        assert view.exists
        assert view.ports == cloud.ports
        assert view.leftovers == frozenset()
        assert view.errors == {}
        assert view.hostname == f"host-node-{cloud.name}"
        assert cloud.openflow.view().flows == cloud.sets()


def test_traffic_is_counted_by_link(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> None:
    a, _ = clouds
    key, network = a.key(0), a.networks[0]
    before = a.openflow.view().traffic[key]
    assert machines[f"a-{network.name}"].ping("10.20.0.12", 10) == 10

    def counted() -> bool:
        now = a.openflow.view().traffic[key]
        ways = ((now.sent, before.sent), (now.received, before.received))
        return all(after.packets >= earlier.packets + 10 for after, earlier in ways)

    wait_until(counted, 20, "counters")


def test_modified_port_is_recreated(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    (tunnel,) = a.ports.tunnels
    a.switch.vsctl(f"set Interface {tunnel.name} options:df_default=true")
    wait_until(lambda: a.database.view().leftovers == {tunnel.name}, 20, "leftover")
    assert a.database.view().ports.tunnels == frozenset()
    a.database.apply(Ports(a.ports.tunnels), a.database.view().leftovers)
    assert a.database.view().ports == a.ports
    a.install()
    assert a.probe() == {"red": 1, "blue": 1}


def test_foreign_tunnels_are_listed(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    a.switch.vsctl(
        "add-port br-int foreign1 "
        "-- set Interface foreign1 type=vxlan options:remote_ip=192.0.2.9 options:dst_port=15000 "
        "-- add-port br-int foreign2 -- set Interface foreign2 type=geneve options:remote_ip=192.0.2.9"
    )
    wait_until(lambda: a.database.view().foreign_tunnel_udp_ports == {15000, 6081}, 20, "foreign tunnels")
    a.database.apply(Ports(), ["foreign1"])
    assert "foreign1" in a.switch.vsctl("list-ports br-int")
    a.switch.vsctl("del-port foreign1 -- del-port foreign2")


def test_tunnels_not_created_by_open_vswitch_are_listed(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    sh("ip link add vx0 type vxlan id 5 dstport 15001; ip link add gn0 type geneve id 5 remote 192.0.2.9", "node-a")
    view = inside(a.switch.netns, RtNetlink().view)
    assert view.tunnel_udp_ports == {15001, 6081}
    assert [a.address for a in view.addresses if a.address.startswith("192.")] == ["192.0.2.1"]
    sh("ip link del vx0; ip link del gn0", "node-a")


def test_udp_port_in_use_is_an_error_as_statuses_expect_it(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    other = inside(a.switch.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    other.bind(("0.0.0.0", 15002))
    (tunnel,) = a.ports.tunnels
    try:
        a.database.apply(Ports(frozenset({replace(tunnel, name="istother", encapsulation=Vxlan(15002))})), ())
        error = wait_until(lambda: a.database.view().errors.get("istother"), 20, "Open vSwitch's error")
        assert error is not None
        assert "Address already in use" in error
    finally:
        a.database.apply(Ports(), ["istother"])
        other.close()


def test_flows_lost_with_ovs_vswitchd_are_restored(clouds: tuple[Cloud, Cloud], machines: dict[str, Machine]) -> None:
    a, _ = clouds
    sets = a.sets()
    a.switch.restart_vswitchd()
    assert a.openflow.view().flows == {}
    a.install()
    assert a.openflow.view().flows == sets, "the numbers of ports, networks and members survive"
    wait_until(lambda: machines["a-red"].ping("10.20.0.12", 1), 20, "ping after the restart")


def test_adapter_reconnects_to_a_restarted_database(clouds: tuple[Cloud, Cloud]) -> None:
    a, _ = clouds
    a.switch.kill("ovsdb-server")
    a.switch.start_database()

    def writes() -> bool:
        a.database.apply(Ports(), ["nothing"])
        return True

    assert wait_until(writes, 20, "a write after the restart")
    assert a.database.view().ports == a.ports


def test_removing_everything_restores_the_node(clouds: tuple[Cloud, Cloud]) -> None:
    _, b = clouds
    everything = {name for p in b.ports.patches for name in (p.integration_name, p.cloud_name)}
    b.database.apply(Ports(), everything | {t.name for t in b.ports.tunnels})
    assert b.database.view().ports == Ports()
    b.database.remove_bridge()
    assert not b.database.view().exists
    assert b.switch.vsctl("list-br") == "br-int"
    assert "isc" not in b.switch.vsctl("list-ports br-int")
    assert sh("ip -br link show type vxlan", b.switch.netns) == ""
    b.switch.vsctl("add-br br-cloud")
    with pytest.raises(Conflict):
        b.database.ensure_bridge()
    b.switch.vsctl("del-br br-cloud")
    b.build()
    assert b.probe() == {"red": 1, "blue": 1}
