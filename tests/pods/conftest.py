"""Fixtures: a lab whose cloud A runs pods, Isthmus in both clouds, a stretched network."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.pods.federation import PodFederation
from tests.pods.installation import PodInstallation
from tests.testbed import state
from tests.testbed.assets import ensure, locate
from tests.testbed.host.process import ended_in_order
from tests.testbed.inventory import Inventory, take
from tests.testbed.lab import Lab
from tests.testbed.workload.tenant import Stretch, reachable_stretch

# One installation is used from its beginning to its end, and everything else lies between both.
_FIRST, _LAST = "test_install", ("test_secrets", "test_uninstall", "test_uninstall_command")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Installation first, removal last, and before it the search for what all others have left."""
    order = {name: number for number, name in enumerate(_LAST, 1)}
    items.sort(key=lambda item: (order.get(item.path.stem, 0), item.path.stem != _FIRST, item.path.stem))


@pytest.fixture(scope="session")
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """The lab that $ISTHMUS_LAB names, or one for this session; its cloud A has kubelets."""
    if name := os.environ.get("ISTHMUS_LAB"):
        yield Lab.attach(name)
        return
    with ended_in_order():
        lab = Lab.up(pods=True, assets=ensure("lab", "pods", "helm"))
        try:
            yield lab
        finally:
            if request.session.testsfailed:
                print(f"logs are kept in {state.keep_logs(lab.name)}")
            lab.down()


@pytest.fixture(scope="session")
def clouds(lab: Lab) -> PodFederation:
    """Both clouds, without Isthmus."""
    return PodFederation(lab, locate())


@pytest.fixture(scope="session")
def untouched(clouds: PodFederation) -> Inventory:
    """Everything in cloud A before Isthmus was installed."""
    return take(clouds.a.cloud)


@pytest.fixture(scope="session")
def release(clouds: PodFederation, untouched: Inventory) -> PodInstallation:
    """The release in cloud A as `helm install` leaves it: without a credential, and without a gateway node."""
    assert untouched
    clouds.in_pods.install()
    return clouds.in_pods


@pytest.fixture(scope="session")
def peers(clouds: PodFederation, release: PodInstallation) -> Iterator[PodFederation]:
    """Isthmus in both clouds, peered."""
    release.start()
    clouds.b.install()
    clouds.b.start()
    for side in clouds.both:
        side.wait_until_ready(180)
    clouds.introduce()
    yield clouds
    clouds.b.stop()


@pytest.fixture(scope="module")
def stretched(peers: PodFederation) -> Iterator[Stretch]:
    """A stretched network with a machine on each side that reach each other."""
    with reachable_stretch(peers, "shared", "10.80.0.0/24") as stretch:
        yield stretch
