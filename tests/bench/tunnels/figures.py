"""Run the measurements where the kernel can carry them, and summarise."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.result import Result, at_least, exactly, reported
from tests.bench.tunnels.processor import Meter
from tests.bench.tunnels.relayed import CASE
from tests.bench.tunnels.rounds import Crossing, PathName, Run, median_megabits, ratios, spread
from tests.bench.tunnels.throughput import CIPHERS, PACKET_BYTES, STREAMS, case, udp_case
from tests.bench.tunnels.variants import Overhead
from tests.kernel.guest import run
from tests.testbed.assets import locate

OF_HOSTS: Final = 0.95
OF_HOSTS_IN_USER_MODE_LINUX: Final = 0.90  # a single processor, which also encapsulates
OF_ROUTED: Final = 1.0
UDP_PATHS: Final[tuple[PathName, ...]] = ("stretched", "routed")
ROUND_TRIP: Final = "round trip between two receivers"
RECEIVERS_PATHS: Final[tuple[PathName, ...]] = ("direct", "relayed")


def measure_throughput() -> list[Result]:
    """TCP and UDP of stretched networks, relative to other paths."""
    target = OF_HOSTS if locate().uml_kernel is None else OF_HOSTS_IN_USER_MODE_LINUX
    found, meter = _inside("throughput")
    runs = [Run(**each) for each in found]
    return throughput_results([replace(run, processor_seconds=meter.seconds(run.number)) for run in runs], target)


def measure_overheads() -> list[Result]:
    """What tunnels add to packets, and the largest packet that crosses whole."""
    return overhead_results([Overhead(**each) for each in _inside("overheads")[0]])


def measure_relayed() -> list[Result]:
    """Throughput and round-trip time between two receivers through the origin, relative to the direct path."""
    found, meter = _inside("relayed")
    runs = [Run(**each["run"]) for each in found]
    metered = [replace(run, processor_seconds=meter.seconds(run.number)) for run in runs]
    return relayed_results([Crossing(run, each["round_trip"]) for run, each in zip(metered, found, strict=True)])


def relayed_results(crossings: Sequence[Crossing]) -> list[Result]:
    """Ratios of the same rounds, and what each path has."""
    runs = [each.run for each in crossings]
    throughput = ratios(runs, CASE, "relayed", "direct")
    trips = {(each.run.path, each.run.round): each.round_trip for each in crossings}
    rounds = sorted({number for _, number in trips})
    round_trip = spread([trips["relayed", number] / trips["direct", number] for number in rounds])
    results = []
    for what, found in ((CASE, throughput), (ROUND_TRIP, round_trip)):
        results += [
            reported(f"{what}: relayed / direct, median", found.median, "ratio"),
            reported(f"{what}: relayed / direct, lowest", found.lowest, "ratio"),
            reported(f"{what}: relayed / direct, highest", found.highest, "ratio"),
        ]
    for path in RECEIVERS_PATHS:
        milliseconds = median(trips[path, number] for number in rounds)
        results.append(reported(f"{CASE}: {path}", median_megabits(runs, CASE, path), "Mbit/s"))
        results.append(reported(f"{ROUND_TRIP}: {path}, median", milliseconds, "ms"))
    return results


def throughput_results(runs: Sequence[Run], of_hosts: float) -> list[Result]:
    """Ratios of each cipher, with the target of that to ESP between the hosts; then UDP by size."""
    results = []
    for cipher in CIPHERS.values():
        references: tuple[tuple[PathName, int, float], ...] = (("hosts", 1, of_hosts), ("routed", STREAMS, OF_ROUTED))
        for reference, streams, target in references:
            found = ratios(runs, case(cipher, streams), "stretched", reference)
            name = f"{case(cipher, streams)}: stretched / {reference}"
            results += [
                at_least(f"{name}, median", found.median, "ratio", target),
                reported(f"{name}, lowest", found.lowest, "ratio"),
                reported(f"{name}, highest", found.highest, "ratio"),
            ]
            paths: tuple[PathName, PathName] = ("stretched", reference)
            for path in paths:
                rate = median_megabits(runs, case(cipher, streams), path)
                results.append(reported(f"{case(cipher, streams)}: {path}", rate, "Mbit/s"))
    for packet_bytes in PACKET_BYTES:
        udp = udp_case(packet_bytes)
        results += [reported(f"{udp}: {path}", median_megabits(runs, udp, path), "Mbit/s") for path in UDP_PATHS]
        results.append(
            reported(f"{udp}: stretched / routed, median", ratios(runs, udp, "stretched", "routed").median, "ratio")
        )
    return results


def overhead_results(overheads: Sequence[Overhead]) -> list[Result]:
    """The largest packet of each kind of tunnel, which must be what the controller computes; then what is added."""
    results = []
    for each in overheads:
        name = f"{each.kind}, {each.protection}, {each.cipher}"
        results += [
            exactly(f"{name}: largest", each.largest, "bytes", each.expected),
            reported(f"{name}: added, least", each.least, "bytes"),
            reported(f"{name}: added, most", each.most, "bytes"),
        ]
    return results


def _inside(what: str) -> tuple[list[dict[str, Any]], Meter]:
    """What was found, and the processor time; raises RuntimeError if the measurement fails."""
    meter = Meter(sys.stdout.buffer)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "found.json"
        argv = [sys.executable, "-m", "tests.bench.tunnels", what, str(file)]
        status = run(locate().uml_kernel, f"cd {shlex.quote(str(Path.cwd()))} && {shlex.join(argv)}\n", meter)
        if status:
            raise RuntimeError(f"the measurement of {what} ended with {status}")
        found: list[dict[str, Any]] = json.loads(file.read_text())
    return found, meter
