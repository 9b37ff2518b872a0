"""A network of B (ML2/OVS) stretched to A (ML2/OVN): the other tests stretch from A to B."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, objects, wait_reason
from tests.testbed.workload.club import CHOSEN_SECONDS, gathered
from tests.testbed.workload.tenant import Stretch, captured_stretch

CIDR, GATEWAY = "10.25.0.0/24", "10.25.0.1"
MTU = 1416


@pytest.fixture(scope="module")
def reverse(peers: Federation) -> Federation:
    """Both clouds, with B as the origin."""
    return peers.reversed()


@pytest.fixture(scope="module")
def stretch(reverse: Federation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side, A's booted afterwards; everything is removed and compared."""
    with captured_stretch(reverse, "back", CIDR) as stretch:
        yield stretch


def test_both_sides_are_ready_with_the_same_mtu(reverse: Federation, stretch: Stretch) -> None:
    (expansion,) = objects(reverse.origin.cloud, "networkexpansions")
    (link,) = objects(reverse.receiver.cloud, "expansionlinks")
    assert (expansion["status"]["mtu"], link["status"]["mtu"]) == (MTU, MTU)
    for tenant in (stretch.tenant, stretch.remote):
        assert tenant.project.connection.network.get_network(tenant.network_id).mtu == MTU


def test_ovn_assigns_an_address_of_the_slice(stretch: Stretch) -> None:
    lease = stretch.remotes[0].lease
    assert lease is not None
    assert stretch.is_of_slice(lease.address)
    assert not stretch.is_of_slice(str(stretch.local.address))
    assert (lease.mtu, lease.router) == (MTU, GATEWAY)


def test_default_group_blocks_remote_machines_until_allowed(stretch: Stretch) -> None:
    remote, local = stretch.remotes[0], stretch.local
    for source, target in ((local, remote), (remote, local)):
        assert source.ping(str(target.address), count=3, interval_seconds=0.2).received == 0
        wait_until(partial(source.resolves, target), 60, f"an answer of {target.name} to ARP")
        assert source.neighbours()[str(target.address)] == target.mac_address
    stretch.admit()
    assert stretch.wait_for_ping().all_answered
    assert remote.ping(str(local.address)).all_answered


def test_tcp_payload_is_unchanged_in_both_directions(stretch: Stretch) -> None:
    assert all(exchange.intact for exchange in stretch.exchange())


def test_largest_packet_crosses_unfragmented(stretch: Stretch) -> None:
    address = str(stretch.remotes[0].address)
    wait_until(lambda: stretch.local.ping(address, count=3, size=MTU, df=True).all_answered, 30, "replies of that size")


def test_gateway_address_is_not_answered_at_the_receiver(reverse: Federation, stretch: Stretch) -> None:
    """There is no router; for the port that reserves the address in A, OVN does not answer ARP."""
    ports = reverse.receiver.cloud.openstack().network.ports(network_id=stretch.remote.network_id)
    (reserved,) = [p for p in ports if p.device_owner == "isthmus:gateway"]
    assert [fixed["ip_address"] for fixed in reserved.fixed_ips] == [GATEWAY]
    assert (reserved.binding_vnic_type, reserved.binding_host_id, reserved.status) == ("baremetal", "", "DOWN")
    machine = stretch.remotes[0]
    assert machine.ping(GATEWAY, count=3, interval_seconds=0.5).received == 0
    assert GATEWAY not in machine.neighbours()


def test_groups_of_one_name_admit_their_members_only(
    reverse: Federation, stretch: Stretch, record_property: Callable[[str, object], None]
) -> None:
    members = (stretch.tenant, stretch.local), (stretch.remote, stretch.remotes[0])
    with gathered(reverse.both, *members) as club:
        assert club.open_from(*club.sides) == set()
        club.choose("ByName")
        club.await_admission(*club.sides, admitted=True, within_seconds=CHOSEN_SECONDS)
        for leaver in club.sides:
            record_property(f"machine of {leaver.cloud.name} with B as the origin", club.leave_and_enter(leaver))


def test_replica_stays_while_the_machine_uses_it(reverse: Federation, stretch: Stretch) -> None:
    """Last, because it withdraws the network. The fixture checks that nothing is left once the machine is gone."""
    origin, receiver, name = reverse.origin.cloud, reverse.receiver.cloud, stretch.tenant.name
    remote = stretch.remotes[0]
    origin.kubectl("delete", "networkexpansion", "-n", name, name, "--timeout=60s")
    reported = wait_reason(
        receiver, "attachment", reverse.link_name(stretch.tenant.network_id), "ReplicaInUse", "isthmus-system"
    )
    assert remote.port_id in reported["message"]
    wait_until(lambda: stretch.local.ping(str(remote.address), count=2).received == 0, 30, "the disconnection")
    port = receiver.openstack().network.get_port(remote.port_id)
    assert (port.status, port.fixed_ips[0]["ip_address"]) == ("ACTIVE", remote.address)
    assert condition(origin, "cloudpeer", receiver.cloud_id)["status"] == "True"
