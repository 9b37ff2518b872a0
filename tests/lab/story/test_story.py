"""The whole lifecycle: stretch, use, withdraw; only protected traffic on the WAN; both clouds unchanged afterwards."""

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial
from ipaddress import ip_network

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects
from tests.testbed.install.installation import Installation
from tests.testbed.workload.tenant import Stretch, captured_stretch

CIDR, GATEWAY = "10.20.0.0/24", "10.20.0.1"
MTU = 1416
VLAN = 100
SENT = {"packets": 20, "bytes": 20 * 1000}
"""What pings add to the counters."""


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side; everything is removed and compared."""
    with captured_stretch(peers, "story", CIDR) as stretch:
        yield stretch


def test_both_sides_are_ready_with_the_same_mtu(peers: Federation, stretch: Stretch) -> None:
    expansion = objects(peers.a.cloud, "networkexpansions")[0]
    assert expansion["status"]["mtu"] == MTU
    (link,) = objects(peers.b.cloud, "expansionlinks")
    assert link["status"]["mtu"] == MTU
    for tenant in (stretch.tenant, stretch.remote):
        assert tenant.project.connection.network.get_network(tenant.network_id).mtu == MTU


def test_machine_booted_at_the_receiver_has_an_address_of_the_slice(stretch: Stretch) -> None:
    lease = stretch.remotes[0].lease
    assert lease is not None
    assert lease.mtu == MTU
    assert stretch.is_of_slice(lease.address)
    assert not stretch.is_of_slice(str(stretch.local.address))


def test_machines_keep_port_security_and_the_default_group(stretch: Stretch) -> None:
    for tenant, machine in ((stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])):
        network = tenant.project.connection.network
        port = network.get_port(machine.port_id)
        assert port.is_port_security_enabled
        assert [network.get_security_group(group).name for group in port.security_group_ids] == ["default"]


def test_default_group_blocks_remote_machines_until_allowed(stretch: Stretch) -> None:
    remote, local = stretch.remotes[0], stretch.local
    for source, target in ((local, remote), (remote, local)):
        assert source.ping(str(target.address), count=3, interval_seconds=0.2).received == 0
        # The security group blocks it, not a missing path: the address resolves.
        wait_until(partial(source.resolves, target), 60, f"an answer of {target.name} to ARP")
        assert source.neighbours()[str(target.address)] == target.mac_address
    stretch.admit()
    assert stretch.wait_for_ping().all_answered
    assert remote.ping(str(stretch.local.address)).all_answered


def test_arp_resolves_between_clouds(stretch: Stretch) -> None:
    remote = stretch.remotes[0]
    assert stretch.local.neighbours()[str(remote.address)] == remote.mac_address
    assert remote.neighbours()[str(stretch.local.address)] == stretch.local.mac_address


def test_tcp_payload_is_unchanged_in_both_directions(stretch: Stretch) -> None:
    assert all(exchange.intact for exchange in stretch.exchange())


def test_largest_packet_crosses_unfragmented_and_a_larger_one_is_rejected(stretch: Stretch) -> None:
    address = str(stretch.remotes[0].address)
    wait_until(lambda: stretch.local.ping(address, count=3, size=MTU, df=True).all_answered, 30, "replies of that size")
    assert stretch.local.mtu() > MTU, "this machine booted before the network was stretched and may send larger packets"
    assert stretch.remotes[0].ping(str(stretch.local.address), count=3, size=MTU + 1, df=True).received == 0


def test_replicas_machines_egress_through_the_origins_router(stretch: Stretch) -> None:
    """The lease contains the gateway address, which OVN's router in A answers and forwards for."""
    remote, network, cloud = stretch.remotes[0], stretch.tenant.project.connection.network, stretch.tenant.cloud
    assert remote.ping(GATEWAY, count=1).received == 0, "there is no router yet"
    with ExitStack() as undo:
        elsewhere = cloud.create_network(stretch.tenant.project, "elsewhere", "10.21.0.0/24")
        undo.callback(network.delete_network, elsewhere)
        router = network.create_router(name="story")
        undo.callback(network.delete_router, router)
        for subnet in network.subnets():
            network.add_interface_to_router(router, subnet=subnet.id)
            undo.callback(network.remove_interface_from_router, router, subnet=subnet.id)
        beyond = stretch.tenant.cloud.boot(elsewhere, "story-beyond", project=stretch.tenant.project, addressed=False)
        undo.callback(beyond.delete)
        beyond.request_lease()
        for address in (GATEWAY, str(beyond.address)):
            wait_until(lambda: remote.ping(address, count=1).all_answered, 30, f"a reply of {address}")  # noqa: B023


def test_subport_of_a_trunk_reaches_the_peer(stretch: Stretch) -> None:
    """A machine of the origin has the stretched network as a VLAN of its only port, which is on another network."""
    project, cloud = stretch.tenant.project, stretch.tenant.cloud
    network = project.connection.network
    with ExitStack() as undo:
        untagged = cloud.create_network(project, "untagged", "10.22.0.0/24")
        undo.callback(network.delete_network, untagged)
        parent = network.create_port(network_id=untagged.id)
        subport = network.create_port(network_id=stretch.tenant.network_id)
        undo.callback(network.delete_port, subport)
        tagged = {"port_id": subport.id, "segmentation_type": "vlan", "segmentation_id": VLAN}
        trunk = network.create_trunk(name="story", port_id=parent.id, sub_ports=[tagged])
        machine = cloud.boot(untagged, "story-trunk", project=project, port=parent)
        undo.callback(machine.delete)
        undo.callback(network.delete_trunk, trunk)
        address = f"{subport.fixed_ips[0]['ip_address']}/{ip_network(CIDR).prefixlen}"
        lines = (
            f"ip link add link eth0 name tagged address {subport.mac_address} mtu {MTU} type vlan id {VLAN}",
            f"ip address add {address} dev tagged",
            "ip link set tagged up",
        )
        machine.place.run(["bash", "-ec", "\n".join(lines)])
        remote = stretch.remotes[0]
        wait_until(lambda: machine.reaches(remote), 60, "a reply of the peer's machine to the subport")
        assert machine.ping(str(remote.address)).all_answered
        assert remote.ping(subport.fixed_ips[0]["ip_address"]).all_answered


def test_traffic_is_counted(peers: Federation, stretch: Stretch) -> None:
    """Metrics of both agents contain traffic, SAs, round trips and links; those of the controllers their work."""
    labels = {"network": f"{peers.a.cloud.cloud_id}.{stretch.tenant.network_id}"}

    def value(side: Installation, role: str, name: str, **wanted: str) -> float:
        samples = side.metrics(role)
        return sum(s.value for s in samples if s.name == name and wanted.items() <= s.labels.items())

    def sent(side: Installation, unit: str) -> float:
        return value(side, "agent", f"isthmus_network_{unit}_total", **labels, direction="sent")

    def pings_are_counted() -> bool:
        """Not if flows are replaced meanwhile, as for a router that has just gone: then counters begin again."""
        wanted = [(side, unit, sent(side, unit) + least) for side in peers.both for unit, least in SENT.items()]
        stretch.local.ping(str(stretch.remotes[0].address), count=SENT["packets"], size=1000)

        def are_counted() -> bool:
            return all(sent(side, unit) >= least for side, unit, least in wanted)

        with suppress(TimeoutError):
            return wait_until(are_counted, 30, "packets and bytes")
        return False

    wait_until(pings_are_counted, 120, "packets and bytes to be counted")
    for side in peers.both:
        assert value(side, "agent", "isthmus_ipsec_sas") == 4, "two children, both directions"
        assert value(side, "agent", "isthmus_tunnel_up") == 3, "IKE, ESP and BFD"
        assert value(side, "agent", "isthmus_link_rtt_seconds", **labels) > 0
        assert value(side, "controller", "isthmus_links", state="Ready") == 1
        for role in ("controller", "agent"):
            assert value(side, role, "isthmus_reconciles_total") > 0
            assert value(side, role, "isthmus_api_calls_total") > 0


@pytest.mark.usefixtures("stretch")
def test_both_gateways_report_the_tunnel_up(peers: Federation) -> None:
    for ours, theirs in ((peers.a, peers.b), (peers.b, peers.a)):
        (node,) = objects(ours.cloud, "gatewaynodes")
        (connection,) = node["status"]["connections"]
        assert connection["cloudID"] == theirs.cloud.cloud_id
        assert (connection["ike"], connection["esp"], connection["bfd"]) == ("Established", "Installed", "Up")
        assert condition(ours.cloud, "cloudpeer", theirs.cloud.cloud_id)["status"] == "True"
