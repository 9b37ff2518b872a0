"""The fake API server fulfils the contract of ports.Cluster."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.errors import Unavailable
from tests.contract.cluster import ClientOf, ClusterContract
from tests.fakes.cluster import FakeCluster
from tests.fakes.store import Store


class TestFakeCluster(ClusterContract):
    @pytest.fixture
    def client_of(self) -> ClientOf:
        store = Store()
        return lambda manager: FakeCluster(store, manager)


def test_unavailable_server() -> None:
    store = Store()
    store.down = True
    with pytest.raises(Unavailable):
        FakeCluster(store).list_objects(CloudPeer)
