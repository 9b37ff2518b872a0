"""A cloud whose cluster is restored from an older snapshot of etcd: what docs/backup.md promises."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, reason
from tests.fakes.scenario import Stretched
from tests.fakes.store import Entry, Key

Snapshot = dict[Key, Entry]


def _snapshot(cloud: FakeCloud) -> Snapshot:
    return {key: entry.copy() for key, entry in cloud.store.entries.items()}


def _restore(cloud: FakeCloud, snapshot: Snapshot) -> None:
    """With the UIDs and generations of then; OpenStack stays as it is."""
    cloud.store.entries = {key: entry.copy() for key, entry in snapshot.items()}
    cloud.restart()


def _stretch_second(stretched: Stretched) -> str:
    neutron = stretched.a.neutron
    network = neutron.create_network(stretched.project, "db", 1450, "")
    neutron.create_subnet(network.id, stretched.project, "db", "10.21.0.0/24", None, [], True, [], [], "")
    stretched.a.expand(network.id, "cloud-b", name="db")
    stretched.federation.settle()
    assert reason(stretched.a.expansion(name="db")) == "Ready"
    return network.id


def _replicas(stretched: Stretched) -> list[str]:
    return sorted(network.name for network in stretched.b.neutron.networks.values())


def _pass_grace_period(stretched: Stretched) -> None:
    for _ in range(3):
        stretched.federation.settle()
        stretched.federation.clock.move(GRACE_SECONDS + 1)
    stretched.federation.settle()


@pytest.mark.parametrize("restored", ["origin", "receiver"])
def test_what_the_snapshot_has_stays_as_it_is(stretched: Stretched, restored: str) -> None:
    cloud, before = stretched.a if restored == "origin" else stretched.b, _contents(stretched)
    snapshot = _snapshot(cloud)
    _restore(cloud, snapshot)
    _pass_grace_period(stretched)
    assert reason(stretched.a.expansion()) == "Ready"
    assert _contents(stretched) == before


def _contents(stretched: Stretched) -> list[object]:
    return [cloud.neutron.contents() for cloud in stretched.federation.clouds]


def test_network_that_the_snapshot_does_not_have_is_released_after_the_grace_period(stretched: Stretched) -> None:
    snapshot = _snapshot(stretched.a)
    _stretch_second(stretched)
    _restore(stretched.a, snapshot)
    stretched.federation.settle()
    assert _replicas(stretched) == ["db", "web"]
    _pass_grace_period(stretched)
    assert _replicas(stretched) == ["web"]
    assert len(stretched.attachment_ports(stretched.a)) == 2, "what nothing records is left to the administrator"
    assert reason(stretched.a.expansion()) == "Ready"


@pytest.mark.parametrize("when", ["within the grace period", "later"])
def test_network_that_the_snapshot_does_not_have_can_be_stretched_again(stretched: Stretched, when: str) -> None:
    snapshot = _snapshot(stretched.a)
    network = _stretch_second(stretched)
    _restore(stretched.a, snapshot)
    if when == "later":
        _pass_grace_period(stretched)
    stretched.a.expand(network, "cloud-b", name="db")
    _pass_grace_period(stretched)
    assert reason(stretched.a.expansion(name="db")) == "Ready"
    assert _replicas(stretched) == ["db", "web"]
    assert len(stretched.attachment_ports(stretched.a)) == 2


def test_network_that_was_withdrawn_since_is_stretched_again(stretched: Stretched) -> None:
    snapshot = _snapshot(stretched.a)
    stretched.a.kubectl.delete(NetworkExpansion, "web", "shop")
    stretched.federation.settle()
    assert _replicas(stretched) == []
    _restore(stretched.a, snapshot)
    _pass_grace_period(stretched)
    assert reason(stretched.a.expansion()) == "Ready"
    assert _replicas(stretched) == ["web"]


def test_receiver_does_not_find_a_replica_that_the_snapshot_does_not_have(stretched: Stretched) -> None:
    snapshot = _snapshot(stretched.b)
    _stretch_second(stretched)
    _restore(stretched.b, snapshot)
    _pass_grace_period(stretched)
    assert _replicas(stretched) == ["db", "web"]
    assert reason(stretched.a.expansion()) == "Ready"
    assert reason(stretched.a.expansion(name="db")) == "SubnetOverlap"
