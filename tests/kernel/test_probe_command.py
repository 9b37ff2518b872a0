"""`isthmus probe` between two agents, through br-cloud and ESP."""

from __future__ import annotations

import time
from collections.abc import Mapping

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.cli import probe as command
from isthmus.model.node.flows import Flows, FlowView
from isthmus.plugin.core.probing.report import Report, parse
from tests.kernel.openvswitch import inside
from tests.kernel.side import LINK, Side
from tests.testbed.host.process import wait_until

_MTU = 1416  # of VXLAN in ESP on a wire of 1500 bytes: test_mtu.py
_METER_SECONDS = 2.0


def test_probes_return_and_leave_everything_as_it_is(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    wait_until(lambda: _is_quiet(stretched), 60, "the end of what has to be done at first")
    before = [_flows(side) for side in stretched]
    report = parse(
        command.printed(inside(a.switch.netns, lambda: command.verify(PacketProbe(), LINK, "cloud-b", _MTU, 20)))
    )
    assert [(series.sent, series.received) for series in report.series] == [(20, 20)] * 3
    assert report.largest_bytes == _MTU
    assert [_flows(side) for side in stretched] == before
    assert _changes(stretched) == []
    assert all(side.network_connected() for side in stretched)


def test_counters_are_those_of_machines(stretched: tuple[Side, Side]) -> None:
    a, _ = stretched
    silent = _bench(a, seconds=2)
    assert (silent.series[0].sent, silent.series[0].received) == (100, 100)
    assert silent.sent is not None
    assert silent.sent.packets < 50, "its own frames are not counted"
    with a.machine.pinging("10.20.0.12") as lost:
        time.sleep(_METER_SECONDS)
        before = a.machine.frames("tx"), a.machine.frames("rx")
        report = _bench(a, seconds=5)
        sent, received = a.machine.frames("tx") - before[0], a.machine.frames("rx") - before[1]
        assert lost() == 0
    assert report.sent is not None
    assert report.received is not None
    # They are read within the time of the command.
    assert 100 < report.sent.packets <= sent
    assert 100 < report.received.packets <= received


def _is_quiet(sides: tuple[Side, Side]) -> bool:
    """Whether agents change nothing for a while, after which nothing counts that earlier tests have sent."""
    for side in sides:
        side.effects.clear()
    time.sleep(_METER_SECONDS)
    return not _changes(sides)


def _changes(sides: tuple[Side, Side]) -> list[str]:
    return [effect for side in sides for effect in side.effects if not effect.startswith("apply_status")]


def _bench(side: Side, seconds: int) -> Report:
    """What `isthmus probe` prints on the node."""

    def flows() -> FlowView:
        """What Open vSwitch has not counted yet would be missing after a while that depends on the machine."""
        side.switch.revalidate()
        return OvsOfctl(side.switch.socket).view()

    time.sleep(_METER_SECONDS)  # what was sent before no longer counts
    document = inside(side.switch.netns, lambda: command.bench(PacketProbe(), flows, LINK, "cloud-b", _MTU, seconds))
    return parse(command.printed(document))


def _flows(side: Side) -> Mapping[int, Flows]:
    """All but the learned ones."""
    return OvsOfctl(side.switch.socket).view().flows
