"""The flows of br-cloud, through ovs-ofctl(8): its bundles are atomic, and every node with Open vSwitch has it."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.names import BRIDGE
from isthmus.model.node.flows import FlowTable, FlowView, Meter, Traffic
from isthmus.model.node.pipeline import COOKIE_SHIFT, LEARNED_OWNER, OWNER, Table

_TIMEOUT_SECONDS = 15
_OWNER_MASK = 0xFFFF << COOKIE_SHIFT

_FLOW = re.compile(
    r"^ cookie=0x(?P<cookie>[0-9a-f]+), .*?table=(?P<table>\d+), n_packets=(?P<n>\d+), n_bytes=(?P<b>\d+)"
)
_SENT = re.compile(r"[ ,]reg0=0x([0-9a-f]+),reg2=0x([0-9a-f]+)[ ,]")
_RECEIVED = re.compile(r"[ ,]tun_id=0x([0-9a-f]+),in_port=(\d+)[ ,]")
_METER = re.compile(r"meter=(\d+) pktps burst(?: stats)? bands=\s*type=drop rate=(\d+) burst_size=(\d+)")
_METER_ID = re.compile(r"meter=(\d+)")


class OvsOfctl:
    """`ports.OpenFlow`. ovs-vswitchd must have its management sockets in the directory of the database's socket."""

    def __init__(self, ovsdb_socket: str) -> None:
        directory = Path(ovsdb_socket.removeprefix("unix:")).parent
        self._socket = directory / f"{BRIDGE}.mgmt"
        self._target = f"unix:{self._socket}"

    def instance(self) -> str:
        """Inode and mtime of the bridge's management socket, which every ovs-vswitchd recreates."""
        try:
            found = self._socket.stat()
        except OSError:
            return ""
        return f"{found.st_ino}.{found.st_mtime_ns}"

    def view(self) -> FlowView:
        """See `ports.OpenFlow`; by one dump of all flows."""
        return parse_flows(self._run("dump-flows", self._target))

    def replace(self, table: FlowTable) -> None:
        """Add meters, which flows refer to; replace the flows in one bundle; delete meters that are not used."""
        meters = self._run("dump-meters", self._target)
        unchanged = parse_meters(meters)
        known_ids = {int(number) for number in _METER_ID.findall(meters)}
        for meter in table.meters:
            if meter not in unchanged:
                self._run("mod-meter" if meter.id in known_ids else "add-meter", self._target, _meter_text(meter))
        self._run("--bundle", "add-flows", self._target, "-", text=_bundle(table))
        for number in sorted(known_ids - {meter.id for meter in table.meters}):
            self._run("del-meter", self._target, f"meter={number}")

    def _run(self, *arguments: str, text: str | None = None) -> str:
        command = ["ovs-ofctl", "-O", "OpenFlow15", *arguments]
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"ovs-ofctl: {error}") from error
        if done.returncode:
            error_text = done.stderr.strip()[-500:]
            refused = "OFPT_ERROR" in error_text or "Error OFP" in error_text
            raise (Invalid if refused else Unavailable)(f"ovs-ofctl {arguments[0]}: {error_text}")
        return done.stdout


def parse_flows(text: str) -> FlowView:
    """Parse the output of `ovs-ofctl dump-flows`: the number of flows by cookie, and the counters of every link."""
    count: Counter[int] = Counter()
    sent: dict[tuple[int, int], Traffic] = {}
    received: dict[tuple[int, int], Traffic] = {}
    for line in text.splitlines():
        flow = _FLOW.match(line)
        if flow is None:
            continue
        count[int(flow["cookie"], 16)] += 1
        table, traffic = int(flow["table"]), Traffic(int(flow["n"]), int(flow["b"]))
        if table == Table.OUTPUT and (match := _SENT.search(line)):
            sent[int(match[1], 16), int(match[2], 16)] = traffic
        elif table == Table.MAP and (match := _RECEIVED.search(line)):
            received[int(match[2]), int(match[1], 16)] = traffic
    return FlowView(dict(count), sent, received)


def parse_meters(text: str) -> frozenset[Meter]:
    """Parse the output of `ovs-ofctl dump-meters`; meters of another form than ours are left out."""
    return frozenset(Meter(int(number), int(rate), int(burst)) for number, rate, burst in _METER.findall(text))


def _bundle(table: FlowTable) -> str:
    deletions = (f"delete cookie={owner << COOKIE_SHIFT:#x}/{_OWNER_MASK:#x}" for owner in (OWNER, LEARNED_OWNER))
    return _lines([*deletions, *(f"add cookie={table.cookie:#x},{flow}" for flow in table.flows)])


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _meter_text(meter: Meter) -> str:
    rate, burst = meter.packets_per_second, meter.burst_packets
    return f"meter={meter.id},pktps,burst,stats,bands=type=drop,rate={rate},burst_size={burst}"
