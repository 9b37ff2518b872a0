import os
from pathlib import Path

import pytest

from tests.examples import load_profile
from tests.fakes.kubectl import FakeKubectl

load_profile()


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    """The first kubectl of PATH, for a cluster without objects."""
    fake = FakeKubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{fake.path}:{os.environ['PATH']}")
    return fake
