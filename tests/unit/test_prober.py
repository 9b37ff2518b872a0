"""State of a link, determined by the last dataplane probes."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.agent.prober import Prober
from isthmus.model.errors import Unavailable
from isthmus.model.node.host import ProbeResult

LINK = ("cloud-a.net", "cloud-b")


class ScriptedProbe:
    """A dataplane probe whose answers the test decides."""

    def __init__(self) -> None:
        self.answers = True
        self.broken = False

    def exchange(
        self, macs: Mapping[str, str], timeout_seconds: float, spread_seconds: float = 0.0
    ) -> Mapping[str, ProbeResult]:
        if self.broken:
            raise Unavailable("no probe port")
        return {link: ProbeResult(1, int(self.answers), 0.002 if self.answers else None) for link in macs}


def test_link_is_up_after_one_answer_and_down_after_three_losses() -> None:
    probe, changes = ScriptedProbe(), list[int]()
    prober = Prober(probe, 1, lambda: changes.append(1))
    prober.follow({LINK: "02:00:00:00:00:01"})
    assert prober.up() == {}
    prober.probe_once()
    assert (prober.up(), prober.rtt_seconds(), len(changes)) == ({LINK: True}, {LINK: 0.002}, 1)
    probe.answers = False
    prober.probe_once()
    prober.probe_once()
    assert prober.up() == {LINK: True}
    prober.probe_once()
    assert (prober.up(), prober.rtt_seconds(), len(changes)) == ({LINK: False}, {}, 2)


def test_probe_that_cannot_be_sent_counts_as_lost() -> None:
    probe = ScriptedProbe()
    probe.broken = True
    prober = Prober(probe, 1, lambda: None)
    prober.follow({LINK: "02:00:00:00:00:01"})
    for _ in range(3):
        prober.probe_once()
    assert prober.up() == {LINK: False}


def test_state_of_a_link_is_kept_in_a_new_plan() -> None:
    prober = Prober(ScriptedProbe(), 1, lambda: None)
    prober.follow({LINK: "02:00:00:00:00:01"})
    prober.probe_once()
    prober.follow({LINK: "02:00:00:00:00:01", ("cloud-a.other", "cloud-b"): "02:00:00:00:00:02"})
    assert prober.up() == {LINK: True}
    prober.follow({})
    assert prober.up() == {}
