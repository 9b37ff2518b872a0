"""The lab for all tests of this tier: the one that $ISTHMUS_LAB names, or one of their own."""

import os
from collections.abc import Iterator

import pytest

from tests.lab.assets import locate
from tests.lab.cloud import Cloud
from tests.lab.federation import Federation
from tests.lab.lab import Lab
from tests.lab.tenant import Stretch, Tenant


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab that is up; pytest itself sits at its desk."""
    if name := os.environ.get("ISTHMUS_LAB"):
        yield Lab.attach(name)
        return
    lab = Lab.up()
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture(params=["a", "b"])
def cloud(request: pytest.FixtureRequest, lab: Lab) -> Cloud:
    """Each of the two clouds: ML2/OVN, then ML2/OVS."""
    return {"a": lab.a, "b": lab.b}[request.param]


@pytest.fixture(scope="session")
def peers(lab: Lab) -> Iterator[Federation]:
    """Isthmus in both clouds, which have become peers."""
    federation = Federation(lab, locate())
    federation.install()
    try:
        with federation.nothing_changes():
            federation.introduce()
            yield federation
            federation.remove_peers()
    finally:
        for side in federation.both:
            side.stop()


@pytest.fixture(scope="module")
def stretched(peers: Federation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side that reach each other."""
    tenant = Tenant.create(peers.a.cloud, "shared", "10.80.0.0/24")
    local = tenant.boot("shared-a")
    with peers.stretched("shared", "shared", tenant.project.id, tenant.network_id):
        stretch = Stretch.of(peers, tenant, local)
        stretch.boot_remote("shared-b")
        stretch.admit()
        stretch.wait_for_ping()
        yield stretch
        stretch.remove_remotes()
    local.delete()
    tenant.delete()
