"""`isthmus probe` between two agents, through br-cloud and ESP."""

from __future__ import annotations

import time
from collections.abc import Mapping

from isthmus.adapters.linux.probe import PacketProbe
from isthmus.adapters.openvswitch.openflow import OvsOfctl
from isthmus.cli import probe as command
from isthmus.model.node.flows import Flows
from isthmus.plugin.core.probing.report import parse
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
    flows = OvsOfctl(a.switch.socket).view
    with a.machine.pinging("10.20.0.12") as lost:
        time.sleep(_METER_SECONDS)
        before = a.machine.frames("tx"), a.machine.frames("rx")
        document = inside(a.switch.netns, lambda: command.bench(PacketProbe(), flows, LINK, "cloud-b", _MTU, 5))
        sent, received = a.machine.frames("tx") - before[0], a.machine.frames("rx") - before[1]
        assert lost() == 0
    report = parse(command.printed(document))
    (series,) = report.series
    assert (series.sent, series.received) == (250, 250)
    assert report.sent is not None
    assert report.received is not None
    # The counters are read within the time of the command; with its own frames there would be 250 more.
    assert 0.6 * sent < report.sent.packets <= sent
    assert 0.6 * received < report.received.packets <= received


def _flows(side: Side) -> Mapping[int, Flows]:
    """All but the learned ones."""
    return OvsOfctl(side.switch.socket).view().flows
