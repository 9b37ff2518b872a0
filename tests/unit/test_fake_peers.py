"""The fake reader of peers keeps the contract of ports.PeerHalves."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.ports import Cluster, PeerHalves
from tests.contract.peers import PEER, PeerHalvesContract
from tests.fakes.cluster import FakeCluster
from tests.fakes.peers import FakePeerHalves
from tests.fakes.store import Store


class TestFakePeerHalves(PeerHalvesContract):
    @pytest.fixture
    def store(self) -> Store:
        return Store()

    @pytest.fixture
    def publisher(self, store: Store) -> Cluster:
        return FakeCluster(store)

    @pytest.fixture
    def kubeconfig(self) -> bytes:
        return b"not looked at"

    @pytest.fixture
    def peers(self, us: str, store: Store) -> PeerHalves:
        return FakePeerHalves(us, {PEER: store})

    @pytest.fixture
    def cut(self, store: Store) -> Callable[[], None]:
        def cut() -> None:
            store.down = True

        return cut
