"""`isthmus probe`: what it sends on a link, what it prints, and what the plugin reads of that."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.agent.linkprobe import SHORTEST_BYTES, LinkProbe, largest
from isthmus.cli import main as command
from isthmus.cli import probe as printing
from isthmus.core.node.linktraffic import link_traffic
from isthmus.model.errors import Conflict, MissingCapability
from isthmus.model.names import probe_mac
from isthmus.model.node.flows import FlowView, LinkTraffic, Traffic
from isthmus.model.node.host import ProbeResult
from isthmus.plugin.core.probing.report import BadReport, parse
from tests.golden.test_flows import CASES, NUMBERS, TO_B, TO_C, _sets

LINK, PEER, MTU = "cloud-a.net", "cloud-b", 1416


class Path:
    """A link on which frames up to a size come back, but for those whose number the test names."""

    def __init__(self, passing_bytes: int = MTU, lost: frozenset[int] = frozenset(), port_mtu: int = 9000) -> None:
        self.passing_bytes, self.lost, self.port_mtu = passing_bytes, lost, port_mtu
        self.exchanges: list[tuple[int, float]] = []
        self.macs: set[str] = set()

    def exchange(
        self,
        macs: Mapping[str, str],
        timeout_seconds: float,
        spread_seconds: float = 0.0,
        mtus: Mapping[str, int] = MappingProxyType({}),
        whole: bool = False,
    ) -> Mapping[str, ProbeResult]:
        self.exchanges.append((len(macs), spread_seconds))
        self.macs |= set(macs.values())
        return {name: self._result(number, mtus[name]) for number, name in enumerate(macs)}

    def _result(self, number: int, size: int) -> ProbeResult:
        if size > self.port_mtu:
            return ProbeResult(0, 0, None)
        if size > self.passing_bytes or number in self.lost:
            return ProbeResult(1, 0, None)
        return ProbeResult(1, 1, 0.001 * (number + 1))


def verify(path: Path, count: int = 10) -> dict[str, Any]:
    return printing.verify(path, LINK, PEER, MTU, count)


def test_frames_of_both_sizes_have_the_address_of_the_link_and_an_even_pace() -> None:
    path = Path()
    report = parse(json.dumps(verify(path)))
    assert path.macs == {probe_mac(LINK, PEER)}
    assert path.exchanges == [(10, 0.5)] * 3
    counts = [(s.payload_bytes, s.sent, s.received, s.lost) for s in report.series]
    assert counts == [(size, 10, 10, 0) for size in (46, 731, MTU)]
    assert (report.link_name, report.cloud_id, report.mtu, report.largest_bytes) == (LINK, PEER, MTU, MTU)
    assert [report.series[0].percentile(p) for p in (0, 50, 95, 99, 100)] == [0.001, 0.005, 0.01, 0.01, 0.01]


def test_lost_frames_are_counted() -> None:
    report = parse(json.dumps(verify(Path(lost=frozenset({1, 4})))))
    assert [series.lost for series in report.series] == [2, 2, 2]
    assert report.largest_bytes == MTU


def test_the_largest_size_is_searched_where_long_frames_are_lost() -> None:
    path = Path(passing_bytes=1390)
    report = parse(json.dumps(verify(path)))
    assert (report.series[2].received, report.largest_bytes) == (0, 1390)
    assert all(count / spread <= 20.001 for count, spread in path.exchanges)
    assert len(path.exchanges) < 20


def test_nothing_is_searched_where_nothing_comes_back() -> None:
    path = Path(passing_bytes=0)
    report = parse(json.dumps(verify(path)))
    assert ([series.received for series in report.series], report.largest_bytes) == ([0, 0, 0], None)
    assert len(path.exchanges) == 3


def test_frames_that_could_not_be_sent_are_not_lost() -> None:
    report = parse(json.dumps(verify(Path(port_mtu=1400))))
    assert [(series.sent, series.lost) for series in report.series] == [(10, 0), (10, 0), (0, 0)]


@given(st.integers(0, 70), st.integers(0, 70), st.integers(0, 70))
def test_the_search_finds_the_largest_that_passes(least: int, more: int, limit: int) -> None:
    most = least + more
    assert largest(lambda size: size <= limit, least, most) == (None if limit < least else min(limit, most))


@pytest.mark.parametrize("case", ["origin", "two-tenants-same-addresses", "two-peers"])
def test_counters_are_found_by_the_flows_as_they_are_written(case: str) -> None:
    flows = {found.cookie: found.flows for found in _sets(CASES[case]).values()}
    red, b = NUMBERS.networks["red"], NUMBERS.members["cloud-b"]
    wanted = LinkTraffic(Traffic(1, 2), Traffic(3, 4))
    view = FlowView(flows, traffic={(red, b): wanted, (red, b + 1): LinkTraffic()})
    assert link_traffic(view, TO_B.probe_mac) is wanted
    assert (link_traffic(view, TO_C.probe_mac) is None) == (case != "two-peers")
    assert link_traffic(view, "02:00:00:00:00:ff") is None


def test_bench_counts_what_the_link_carries_besides() -> None:
    before, packets = LinkTraffic(Traffic(100, 10_000), Traffic(200, 20_000)), 3 * 50
    own = packets * (14 + MTU)
    after = LinkTraffic(Traffic(100 + packets + 30, 10_000 + own + 3_000), Traffic(200 + packets, 20_000 + own))
    views = iter([before, after])
    flows = {found.cookie: found.flows for found in _sets(CASES["origin"]).values()}
    key = NUMBERS.networks["red"], NUMBERS.members["cloud-b"]
    times, path = iter([10.0, 13.5]), Path()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(printing, "probe_mac", lambda *_: TO_B.probe_mac)
        document = printing.bench(
            path, lambda: FlowView(flows, traffic={key: next(views)}), LINK, PEER, MTU, 3, lambda: next(times)
        )
    report = parse(json.dumps(document))
    assert path.exchanges == [(150, 3.0)]
    assert report.sent is not None
    assert report.received is not None
    assert (report.sent.packets, report.sent.octets, report.received.packets) == (30, 3_000, 0)
    assert report.counter_seconds == 3.5


def test_bench_of_a_link_without_flows_has_no_counters() -> None:
    report = parse(json.dumps(printing.bench(Path(), lambda: FlowView({}), LINK, PEER, MTU, 1)))
    assert (report.sent, report.received) == (None, None)


def test_one_command_at_a_time() -> None:
    held = printing.exclusive()
    with held, pytest.raises(Conflict, match=r"^another isthmus probe is running on this node"), printing.exclusive():
        pass
    with printing.exclusive():
        pass


def test_the_command_prints_one_object(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    path = Path()
    monkeypatch.setattr("isthmus.adapters.linux.probe.PacketProbe", lambda: path)
    assert command.main(["probe", LINK, PEER, "--mtu", str(MTU), "--count", "3"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert [series.sent for series in parse(printed).series] == [3, 3, 3]
    assert path.exchanges[0] == (3, 3 / 20)


def test_a_missing_capability_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Denied:
        def exchange(self, *_: object) -> Mapping[str, ProbeResult]:
            raise MissingCapability("its process lacks the capability CAP_NET_RAW")

    monkeypatch.setattr("isthmus.adapters.linux.probe.PacketProbe", Denied)
    assert command.main(["probe", LINK, PEER, "--mtu", str(MTU)]) == 1
    assert capsys.readouterr().err == "isthmus: its process lacks the capability CAP_NET_RAW\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--mtu", "67"), "must be a whole number of bytes from 68 to 9216"),
        (("--mtu", "1416", "--count", "201"), "must be a whole number of frames from 1 to 200"),
        (("--mtu", "1416", "--seconds", "0"), "must be a whole number of seconds from 1 to 60"),
        (("--mtu", "1416", "--seconds", "5", "--count", "5"), "not allowed with argument"),
        ((), "the following arguments are required: --mtu"),
    ],
)
def test_arguments_are_checked(arguments: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        command.main(["probe", LINK, PEER, *arguments])
    assert message in capsys.readouterr().err


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists) | st.text())
def test_reports_of_any_shape_are_read_or_refused(value: Any) -> None:
    document = verify(Path())
    for key in (*document, "counters", "counterSeconds"):
        if key != "schema":
            assert parse(json.dumps(document | {key: value})).series is not None
    for text in (json.dumps(value), json.dumps({"schema": value}), "", "{", "[" * 10_000):
        with pytest.raises(BadReport, match=r"^this is not what isthmus probe prints"):
            parse(text)


def test_sizes_are_those_of_ethernet() -> None:
    """IEEE 802.3: 64 bytes with the header of 14 and the checksum of 4."""
    assert SHORTEST_BYTES == 64 - 14 - 4
    assert LinkProbe(Path(), "02::").series(SHORTEST_BYTES, 1).sent == 1
