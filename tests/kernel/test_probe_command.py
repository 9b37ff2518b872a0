"""`isthmus probe` between two agents, through br-cloud and ESP."""

from __future__ import annotations

import time
from collections.abc import Mapping

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.cli import probe as command
from isthmus.model.node.flows import Flows
from isthmus.plugin.core.probing.report import Report, parse
from tests.kernel.openvswitch import inside
from tests.kernel.side import LINK, Side

_MTU = 1416  # of VXLAN in ESP on a wire of 1500 bytes: test_mtu.py
_METER_SECONDS = 2.0


def test_probes_return_and_leave_everything_as_it_is(stretched: tuple[Side, Side]) -> None:
    a, b = stretched
    time.sleep(_METER_SECONDS)  # what earlier tests have sent no longer counts
    a.effects.clear()
    b.effects.clear()
    before = [_flows(side) for side in stretched]
    report = parse(
        command.printed(inside(a.switch.netns, lambda: command.verify(PacketProbe(), LINK, "cloud-b", _MTU, 20)))
    )
    assert [(series.sent, series.received) for series in report.series] == [(20, 20)] * 3
    assert report.largest_bytes == _MTU
    assert [_flows(side) for side in stretched] == before
    assert [effect for effect in (*a.effects, *b.effects) if not effect.startswith("apply_status")] == []
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
    # They lag by about a second, and are read within the time of the command.
    assert 100 < report.sent.packets <= sent
    assert 100 < report.received.packets <= received


def _bench(side: Side, seconds: int) -> Report:
    """What `isthmus probe` prints on the node."""
    flows = OvsOfctl(side.switch.socket).view
    time.sleep(_METER_SECONDS)  # what was sent before no longer counts
    document = inside(side.switch.netns, lambda: command.bench(PacketProbe(), flows, LINK, "cloud-b", _MTU, seconds))
    return parse(command.printed(document))


def _flows(side: Side) -> Mapping[int, Flows]:
    """All but the learned ones."""
    return OvsOfctl(side.switch.socket).view().flows
