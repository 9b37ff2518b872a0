import os
from pathlib import Path

import pytest

from tests.examples import load_profile
from tests.fakes.federation import FakeCloud
from tests.fakes.kubectl import FakeKubectl
from tests.fakes.scenario import Stretched

load_profile()


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    """The first kubectl of PATH, for a cluster without objects."""
    fake = FakeKubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.path}:{os.environ['PATH']}")
    return fake


@pytest.fixture
def stretched() -> Stretched:
    """Two clouds with one network stretched from A to B."""
    return Stretched()


@pytest.fixture(params=["origin", "receiver"])
def cloud(request: pytest.FixtureRequest, stretched: Stretched) -> FakeCloud:
    """Either of the two."""
    return stretched.a if request.param == "origin" else stretched.b
