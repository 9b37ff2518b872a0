"""The fake of the Leases fulfils their contract."""

from __future__ import annotations

import pytest

from isthmus.ports import Leases
from tests.contract.leases import ABSENT, LeasesContract
from tests.fakes.leases import FakeLeases


class TestFakeLeases(LeasesContract):
    @pytest.fixture
    def leases(self) -> Leases:
        leases = FakeLeases()
        leases.absent_gateway_nodes.add(ABSENT)
        return leases
