"""The whole story: stretched, used, undone; on the wire only what is protected; both clouds as they were."""

from collections.abc import Iterator

import pytest

from tests.lab.federation import Federation, condition, objects
from tests.lab.tenant import Stretch, Tenant

CIDR = "10.20.0.0/24"
MTU = 1416


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side; everything about it is undone and compared."""
    with peers.lab.wan.capture() as capture, peers.nothing_changes():
        tenant = Tenant.create(peers.a.cloud, "story", CIDR)
        local = tenant.boot("story-a")
        with peers.stretched("story", "story", tenant.project.id, tenant.network_id):
            stretch = Stretch.of(peers, tenant, local)
            stretch.boot_remote("story-b", dhcp=True)
            yield stretch
            stretch.remove_remotes()
        peers.settle()
        local.delete()
        tenant.delete()
    summary = capture.summary()
    assert summary.esp > 0
    summary.require_protected()


def test_both_sides_are_ready_with_the_same_mtu(peers: Federation, stretch: Stretch) -> None:
    expansion = objects(peers.a.cloud, "networkexpansions")[0]
    assert expansion["status"]["mtu"] == MTU
    (link,) = objects(peers.b.cloud, "expansionlinks")
    assert link["status"]["mtu"] == MTU
    for tenant in (stretch.tenant, stretch.remote):
        assert tenant.project.connection.network.get_network(tenant.network_id).mtu == MTU


def test_machine_booted_after_the_stretch_has_an_address_of_its_slice(peers: Federation, stretch: Stretch) -> None:
    (link,) = objects(peers.b.cloud, "expansionlinks")
    (subnet,) = link["status"]["peer"]["spec"]["offer"]["subnets"]
    lease = stretch.remotes[0].lease
    assert lease is not None
    assert lease.mtu == MTU
    last = [int(part) for part in lease.address.split(".")]
    assert [int(p) for p in subnet["first"].split(".")] <= last <= [int(p) for p in subnet["last"].split(".")]


def test_default_group_keeps_strangers_out_until_the_tenant_admits_them(stretch: Stretch) -> None:
    remote = stretch.remotes[0]
    assert stretch.local.ping(str(remote.address), count=3, interval_seconds=0.2).received == 0
    stretch.admit()
    assert stretch.wait_for_ping().all_answered
    assert remote.ping(str(stretch.local.address)).all_answered


def test_addresses_resolve_across(stretch: Stretch) -> None:
    remote = stretch.remotes[0]
    assert stretch.local.neighbours()[str(remote.address)] == remote.mac_address
    assert remote.neighbours()[str(stretch.local.address)] == stretch.local.mac_address


def test_tcp_carries_a_payload_unchanged_both_ways(stretch: Stretch) -> None:
    assert all(exchange.intact for exchange in stretch.exchange())


def test_largest_packet_crosses_whole_and_a_larger_one_is_refused(stretch: Stretch) -> None:
    address = str(stretch.remotes[0].address)
    assert stretch.local.ping(address, count=3, size=MTU, df=True).all_answered


@pytest.mark.usefixtures("stretch")
def test_tunnel_is_up_in_the_eyes_of_both_gateways(peers: Federation) -> None:
    for ours, theirs in ((peers.a, peers.b), (peers.b, peers.a)):
        (node,) = objects(ours.cloud, "gatewaynodes")
        (connection,) = node["status"]["connections"]
        assert connection["cloudID"] == theirs.cloud.cloud_id
        assert (connection["ike"], connection["esp"], connection["bfd"]) == ("Established", "Installed", "Up")
        assert condition(ours.cloud, "cloudpeer", theirs.cloud.cloud_id)["status"] == "True"
