"""Two tenants with the same addresses, stretched at once, never see each other."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.lab.federation import Federation
from tests.lab.tenant import Stretch, Tenant

CIDR = "10.30.0.0/24"


@pytest.fixture(scope="module")
def pair(peers: Federation) -> Iterator[tuple[Stretch, Stretch]]:
    """Two stretched networks of two projects with one and the same range, a machine of each on both sides."""
    with ExitStack() as undo:
        stretches = []
        for name in ("red", "blue"):
            tenant = Tenant.create(peers.a.cloud, name, CIDR)
            undo.callback(tenant.delete)
            local = tenant.boot(f"{name}-a", address="10.30.0.10" if name == "red" else "10.30.0.11")
            undo.callback(local.delete)
            undo.enter_context(peers.stretched(name, name, tenant.project.id, tenant.network_id))
            stretch = Stretch.of(peers, tenant, local)
            undo.callback(stretch.remove_remotes)
            stretch.boot_remote(f"{name}-b")
            stretch.admit()
            stretches.append(stretch)
        yield stretches[0], stretches[1]


def test_each_tenant_reaches_its_own_machine(pair: tuple[Stretch, Stretch]) -> None:
    for stretch in pair:
        assert stretch.wait_for_ping().all_answered


def test_neither_reaches_the_other(pair: tuple[Stretch, Stretch]) -> None:
    red, blue = pair
    for stretch in pair:
        stretch.wait_for_ping()
    assert str(red.local.address) != str(blue.local.address)
    for source, target in ((red, blue), (blue, red)):
        # The address is the other tenant's alone, so that a reply could come from nobody else.
        assert source.remotes[0].ping(str(target.local.address), count=3, interval_seconds=0.2).received == 0
        assert str(target.local.address) not in source.remotes[0].neighbours()
