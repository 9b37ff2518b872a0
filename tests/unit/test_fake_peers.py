"""The fake reader of peers fulfils the contract of ports.PeerReader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from isthmus.ports import Cluster, PeerReader
from tests.contract.peers import PEER, PeerReaderContract
from tests.fakes.cluster import FakeCluster
from tests.fakes.peers import FakePeerReader
from tests.fakes.store import Store


class TestFakePeerReader(PeerReaderContract):
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
    def peers(self, us: str, store: Store) -> PeerReader:
        return FakePeerReader(us, {PEER: store})

    @pytest.fixture
    def cut(self, store: Store) -> Callable[[], None]:
        def cut() -> None:
            store.down = True

        return cut
