"""The steps of `make demo`, on clouds in their initial state; the demo itself checks every result."""

import pytest

from demo import hybrid, pair
from demo.transcript import Transcript
from tests.testbed.install.federation import Federation
from tests.testbed.install.spoke import further_cloud

pytestmark = pytest.mark.stage("untouched")


def test_demo_succeeds(federation: Federation, capsys: pytest.CaptureFixture[str]) -> None:
    pair.run(federation, Transcript())
    output = capsys.readouterr().out
    for heading in ("Peer the two clouds", "Traffic on the WAN", "Compare both clouds with their initial state"):
        assert heading in output


@pytest.mark.long
def test_hybrid_demo_succeeds(federation: Federation, capsys: pytest.CaptureFixture[str]) -> None:
    with further_cloud(federation) as spoke:
        hybrid.run(federation, spoke, Transcript())
    output = capsys.readouterr().out
    for heading in ("Let B and C agree with each other", "Compare all three clouds with their initial state"):
        assert heading in output
