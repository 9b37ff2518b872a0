"""What `verify` and `bench` say of each link."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ..answer import Answer, ExitCode, worst
from ..tables import Cell, Style, Value, table
from ..width import wrapped
from .report import Counted, Report, Series
from .targets import Target

_SERIES: Final = ("BYTES", "SENT", "BACK", "LOST", "MIN", "P50", "P95", "P99", "MAX")
_NOT_MEASURED: Final = (
    "Not measured: how much the path can carry (the peer's meter limits probes to a few hundred a second; use iperf3 "
    "between two machines), each direction by itself (a lost frame may be a lost reply, and the round trip is both "
    "ways), and the path between a machine and br-cloud (probes begin and end at br-cloud). Open vSwitch updates its "
    "counters about once a second, and they include the agents' own probes."
)


@dataclass(frozen=True)
class Measured:
    """A link with its report, or why there is none."""

    target: Target
    report: Report | None
    cause: str = ""
    command: str = ""
    """For a shell on the node, where there is no other way."""

    @property
    def code(self) -> ExitCode:
        """What the exit code would be for this one alone."""
        if self.report is None:
            return ExitCode.NOT_READ
        return ExitCode.WRONG if any(_problems(self.report)) else ExitCode.FINE


def verified(measured: Sequence[Measured]) -> Answer:
    """Of `verify`."""
    return _answer("verify", measured, ())


def benched(measured: Sequence[Measured]) -> Answer:
    """Of `bench`."""
    return _answer("bench", measured, (_NOT_MEASURED,))


def _answer(verb: str, measured: Sequence[Measured], notes: Sequence[str]) -> Answer:
    code = worst({each.code for each in measured})
    document = {"links": [_document(each) for each in measured], "notes": list(notes)}

    def text(style: Style) -> list[str]:
        lines = [line for each in measured for line in _lines(each, style)]
        return [*lines, *(line for note in notes for line in wrapped(note, style.width, ""))]

    return Answer(verb, code, document, text)


def _problems(report: Report) -> Iterator[str]:
    """What is wrong with a link, as sentences."""
    sent = sum(series.sent for series in report.series)
    received = sum(series.received for series in report.series)
    if not sent:
        yield "No frame could be sent: the probe port's own MTU is less than the network's."
    elif not received:
        yield "No frame came back: kubectl isthmus diagnose"
    else:
        yield from _losses(report)


def _losses(report: Report) -> Iterator[str]:
    full = [series for series in report.series if series.payload_bytes == report.mtu]
    if full and not any(series.received for series in full):
        largest = f"those of up to {report.largest_bytes} bytes do" if report.largest_bytes else "shorter ones may"
        yield f"Frames as long as the network's MTU, {report.mtu} bytes, do not come back; {largest}."
    for series in report.series:
        if series.received and series.lost:
            yield f"{series.lost} of {series.sent} frames of {series.payload_bytes} bytes were lost."


def _lines(measured: Measured, style: Style) -> list[str]:
    target, report = measured.target, measured.report
    heading = f"{target.label}, from {target.node}, MTU {target.mtu} bytes:"
    if report is None:
        why = wrapped(f"not measured: {measured.cause}", style.width, "  ")
        command = [f"  {measured.command}"] if measured.command else []  # in one line, to be copied
        return [style.heading(heading), *why, *command, ""]
    lines = [style.heading(heading), *table(_SERIES, map(_row, report.series), style)]
    problems = [style.wrong(problem) for problem in _problems(report)]
    lines += problems or [_well(report)]
    for direction, counted in (("sent to the peer", report.sent), ("received from it", report.received)):
        if counted is not None:
            lines.append(f"machines, {direction}: {_rate(counted, report.counter_seconds)}")
    return [*lines, ""]


def _well(report: Report) -> str:
    return f"All frames came back, at {report.frames_per_second} a second; the largest is the network's whole MTU."


def _row(series: Series) -> list[Value]:
    lost = Cell(f"{series.lost}", is_wrong=series.lost > 0)
    rtts = [_milliseconds(series.percentile(percent)) for percent in (0, 50, 95, 99, 100)]
    return [series.payload_bytes, series.sent, series.received, lost, *rtts]


def _milliseconds(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds * 1000:.2f} ms"


def _rate(counted: Counted, seconds: float) -> str:
    """Bits and packets a second, with what was counted."""
    if seconds <= 0:
        return f"{counted.packets} packets"
    bits = counted.octets * 8 / seconds
    unit, divisor = next(((u, d) for u, d in (("Gbit/s", 1e9), ("Mbit/s", 1e6)) if bits >= d), ("kbit/s", 1e3))
    return f"{bits / divisor:.1f} {unit}, {counted.packets / seconds:.0f} packets/s in {seconds:.0f} s"


def _document(measured: Measured) -> dict[str, Any]:
    target, report = measured.target, measured.report
    known = {
        "network": target.network,
        "link": target.link_name,
        "peer": target.peer,
        "cloudID": target.cloud_id,
        "node": target.node,
        "mtu": target.mtu,
        "error": measured.cause,
        "command": measured.command,
    }
    if report is None:
        return known | {"series": [], "problems": []}
    return known | {
        "framesPerSecond": report.frames_per_second,
        "series": [series.to_document() for series in report.series],
        "largestBytes": report.largest_bytes,
        "counters": {
            "seconds": report.counter_seconds,
            "sent": _counted(report.sent),
            "received": _counted(report.received),
        },
        "problems": list(_problems(report)),
    }


def _counted(counted: Counted | None) -> dict[str, int] | None:
    return None if counted is None else {"packets": counted.packets, "bytes": counted.octets}
