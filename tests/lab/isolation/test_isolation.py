"""Two tenants with equal addresses, stretched at the same time, are isolated from each other."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation
from tests.testbed.workload.tenant import Stretch, Tenant

CIDR, ADDRESS = "10.30.0.0/24", "10.30.0.10"


@pytest.fixture(scope="module")
def pair(peers: Federation) -> Iterator[tuple[Stretch, Stretch]]:
    """Stretched networks of two projects with the same CIDR, each with a machine on both sides."""
    with ExitStack() as undo:
        tenants, stretches = [], []
        for name in ("red", "blue"):
            tenant = Tenant.create(peers.a.cloud, name, CIDR)
            undo.callback(tenant.delete)
            local = tenant.boot(f"{name}-a", address=ADDRESS)
            undo.callback(local.delete)
            undo.enter_context(peers.requested(name, name, tenant.project.id, tenant.network_id))
            tenants.append((tenant, local))
        for tenant, local in tenants:
            peers.wait_expanded(tenant.name, tenant.name, tenant.network_id)
            stretch = Stretch.of(peers, tenant, local)
            undo.callback(stretch.remove_remotes)
            stretch.admit()
            stretch.boot_remote(f"{tenant.name}-b")
            stretches.append(stretch)
        yield stretches[0], stretches[1]


def test_each_tenant_reaches_its_own_machine(pair: tuple[Stretch, Stretch]) -> None:
    for stretch in pair:
        assert stretch.wait_for_ping().all_answered


def test_equal_addresses_lead_to_each_tenants_own_machine(pair: tuple[Stretch, Stretch]) -> None:
    for stretch in pair:
        assert stretch.remotes[0].ping(ADDRESS).all_answered
        assert stretch.remotes[0].neighbours()[ADDRESS] == stretch.local.mac_address
        assert all(exchange.intact for exchange in stretch.exchange())


def test_neither_tenant_reaches_the_others_addresses(pair: tuple[Stretch, Stretch]) -> None:
    red, blue = pair
    other = blue.tenant.boot("blue-a2", address="10.30.0.12")
    try:
        wait_until(
            lambda: blue.remotes[0].ping("10.30.0.12", count=1).all_answered,
            30,
            "a reply within the tenant",
        )
        for machine in (red.local, red.remotes[0]):
            assert machine.ping("10.30.0.12", count=3, interval_seconds=0.2).received == 0
            assert "10.30.0.12" not in machine.neighbours()
    finally:
        other.delete()
