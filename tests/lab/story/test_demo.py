"""The story of `make demo`, on clouds that nobody has touched: what it tells is what it sees, else it raises.

Captured from before the administrators agree until they have parted, and both clouds compared before and after.
"""

import pytest

from demo.narrator import Narrator
from demo.story import tell
from tests.testbed.install.federation import Federation

pytestmark = pytest.mark.stage("untouched")


def test_demo_succeeds(federation: Federation, capsys: pytest.CaptureFixture[str]) -> None:
    tell(federation, Narrator())
    told = capsys.readouterr().out
    for chapter in ("The administrators agree", "What was on the wire", "Both clouds as they were"):
        assert chapter in told
