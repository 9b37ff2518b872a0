"""Figures of tunnels: ratios are those of the same round, and each has its target."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from tests.bench.result import Result
from tests.bench.tunnels import relayed
from tests.bench.tunnels.figures import OF_ROUTED, UDP_PATHS, overhead_results, relayed_results, throughput_results
from tests.bench.tunnels.processor import Meter
from tests.bench.tunnels.rounds import Crossing, PathName, Run, Spread, median_megabits, ratios
from tests.bench.tunnels.throughput import CIPHERS, PACKET_BYTES, STREAMS, case, udp_case
from tests.bench.tunnels.variants import PROTECTIONS, Overhead, Protection

CASE = case("aes256gcm16", 1)
OVERHEAD = Overhead("transport mode, IPv4", "VXLAN", "aes256gcm16", 1416, 1416, 84, 87, "fragments")


def run(number: int, path: PathName, megabits: float, name: str = CASE) -> Run:
    return Run(number, name, path, megabits * 1e6, 1, 0)


def rounds(*megabits: tuple[float, float]) -> list[Run]:
    """The stretched path and that between the hosts, for each round."""
    pairs = enumerate(megabits)
    return [each for n, (a, b) in pairs for each in (run(n, "stretched", a), run(n, "hosts", b))]


def everything(stretched: float, hosts: float, routed: float) -> Iterator[Run]:
    """Two rounds of all paths, with these rates in Mbit/s."""
    for number, cipher in product(range(2), CIPHERS.values()):
        yield run(number, "stretched", stretched, case(cipher, 1))
        yield run(number, "hosts", hosts, case(cipher, 1))
        yield run(number, "stretched", stretched, case(cipher, STREAMS))
        yield run(number, "routed", routed, case(cipher, STREAMS))
    for number, size, path in product(range(2), PACKET_BYTES, UDP_PATHS):
        yield run(number, path, stretched, udp_case(size))


def test_ratios_are_those_of_the_same_round() -> None:
    """The machine was slow in the second one: a ratio of medians would be 0.5."""
    found = rounds((100, 100), (10, 20), (50, 100))
    assert ratios(found, CASE, "stretched", "hosts") == Spread(0.5, 0.5, 1.0)
    assert ratios(rounds((100, 100), (10, 20), (90, 100)), CASE, "stretched", "hosts").median == 0.9


def test_processor_time_counts_where_it_is_known() -> None:
    """The guest had the processor for 50 % of the time only when it sent by the stretched path."""
    found = [replace(each, processor_seconds=0.5 if each.path == "stretched" else 1) for each in rounds((50, 100))]
    assert ratios(found, CASE, "stretched", "hosts").median == 1
    assert median_megabits(found, CASE, "stretched") == 100


def test_meter_takes_marks_from_the_output(tmp_path: Path) -> None:
    (tmp_path / "42").mkdir()
    output = io.BytesIO()
    meter = Meter(output, tmp_path)
    for part, nanoseconds in (
        (b"one\n@proc", 0),
        (b"essor 42 7 begin\ntwo\n", 10**9),
        (b"@processor 42 7 end\n", 3 * 10**9),
    ):
        (tmp_path / "42" / "schedstat").write_text(f"{nanoseconds} 5 6\n")
        meter.write(part)
    assert output.getvalue() == b"one\ntwo\n"
    assert meter.seconds(7) == 2
    assert meter.seconds(8) is None


def test_order_of_runs_and_other_cases_do_not_count() -> None:
    others = [run(number, path, 1, "another") for number in range(5) for path in ("stretched", "hosts")]
    found = [*others, *reversed(rounds((90, 100), (50, 100), (70, 100)))]
    assert ratios(found, CASE, "stretched", "hosts") == Spread(0.7, 0.5, 0.9)
    assert median_megabits(found, CASE, "stretched") == 70


@pytest.mark.parametrize(
    "found",
    [[], rounds((90, 100))[:1], rounds((90, 100), (80, 100))[:3], rounds((90, 100), (80, 0))],
    ids=["none", "no reference", "a round without reference", "nothing arrived"],
)
def test_incomplete_rounds_are_an_error(found: list[Run]) -> None:
    with pytest.raises(ValueError, match="aes256gcm16"):
        ratios(found, CASE, "stretched", "hosts")


def results(stretched: float, hosts: float, routed: float) -> dict[str, Result]:
    found = throughput_results([*everything(stretched, hosts, routed)], 0.9)
    assert len({result.name for result in found}) == len(found)
    return {result.name: result for result in found}


def missed(found: dict[str, Result]) -> list[str]:
    return [name.split(":", 1)[1].split(",")[0].strip() for name, result in found.items() if not result.met]


def test_each_cipher_has_both_targets() -> None:
    assert missed(results(90, 100, 90)) == []
    assert missed(results(89, 100, 89)) == ["stretched / hosts"] * len(CIPHERS)
    assert missed(results(90, 100, 91)) == ["stretched / routed"] * len(CIPHERS)
    targets = {result.target for result in results(1, 1, 1).values()}
    assert targets == {"-", ">= 0.9", f">= {OF_ROUTED:g}"}


def test_relayed_path_is_compared_with_the_direct_one_of_the_same_round() -> None:
    """The machine was slow in the second one."""
    crossings = [
        Crossing(run(0, "direct", 100, relayed.CASE), 1),
        Crossing(run(0, "relayed", 60, relayed.CASE), 2),
        Crossing(run(1, "direct", 10, relayed.CASE), 10),
        Crossing(run(1, "relayed", 5, relayed.CASE), 30),
    ]
    values = {result.name.removeprefix(relayed.CASE): result.value for result in relayed_results(crossings)}
    assert values[": relayed / direct, median"] == 0.55
    assert values["round trip between two receivers: relayed / direct, median"] == 2.5
    assert values["round trip between two receivers: direct, median"] == 5.5
    with pytest.raises(ValueError, match="same rounds"):
        relayed_results(crossings[1:])


def test_udp_is_reported_by_size() -> None:
    found = results(90, 100, 90)
    for size in PACKET_BYTES:
        assert found[f"UDP, {size} bytes: stretched"].value == 90
        assert found[f"UDP, {size} bytes: stretched / routed, median"].value == 1


def test_largest_packet_must_be_the_computed_one() -> None:
    good, bad = (overhead_results([replace(OVERHEAD, largest=size)]) for size in (1416, 1415))
    assert [result.met for result in good] == [True, True, True]
    assert [result.met for result in bad] == [False, True, True]
    assert [result.value for result in good] == [1416, 84, 87]


def test_table_has_all_that_clouds_can_agree_on() -> None:
    assert len(PROTECTIONS) == len(set(map(str, PROTECTIONS))) == 6
    assert not Protection("Transport", 6).carries("GRE")
    assert [each.largest("VXLAN") for each in PROTECTIONS] == [1416, 1396, 1388, 1396, 1376, 1368]
    assert [each.largest("GRE") for each in PROTECTIONS if each.carries("GRE")] == [1424, 1404, 1396, 1384, 1376]
