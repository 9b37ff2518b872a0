"""The flows of br-cloud, through ovs-ofctl(8): its bundles are atomic, and every node with Open vSwitch has it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.names import BRIDGE
from isthmus.model.node.flows import FlowChanges, Flows, FlowView
from isthmus.model.node.pipeline import Table

from . import flowtext, metermods
from .flowmonitor import FlowMonitor

_TIMEOUT_SECONDS = 15
_FLOW_COUNT = re.compile(r"flow_count=(\d+)")


class OvsOfctl:
    """`ports.OpenFlow`. ovs-vswitchd must have its management sockets in the directory of the database's socket."""

    def __init__(self, ovsdb_socket: str) -> None:
        directory = Path(ovsdb_socket.removeprefix("unix:")).parent
        self._socket = directory / f"{BRIDGE}.mgmt"
        self._target = f"unix:{self._socket}"
        self._monitor = FlowMonitor(str(self._socket))

    def instance(self) -> str:
        """Inode and mtime of the bridge's management socket, which every ovs-vswitchd recreates."""
        try:
            found = self._socket.stat()
        except OSError:
            return ""
        return f"{found.st_ino}.{found.st_mtime_ns}"

    def mounted_directory_is_deleted(self) -> bool:
        """See `ports.OpenFlow`: a mount keeps a directory that has no link left (inode(7)) in its place."""
        try:
            return self._socket.parent.stat().st_nlink == 0
        except OSError:
            return False

    def changed(self) -> frozenset[int] | None:
        """See `ports.OpenFlow`; by a flow monitor, which Open vSwitch notifies."""
        return self._monitor.changed()

    def view(self) -> FlowView:
        """See `ports.OpenFlow`; table by table, for a table of learned flows may be arbitrarily long."""
        active = flowtext.parse_active(self._run("dump-tables", self._target))
        learned = active.pop(Table.LEARNED, 0)
        listed = "".join(self._run("dump-flows", self._target, f"table={table}") for table in active)
        foreign = learned > 0 and self._count(f"table={Table.LEARNED:d},{flowtext.LEARNED_COOKIES}") < learned
        meters, counted = self._run("dump-meters", self._target), self._run("meter-stats", self._target)
        return flowtext.view(listed, meters, counted, foreign)

    def flows_of(self, cookie: int) -> Flows:
        """See `ports.OpenFlow`; Open vSwitch has an index of cookies."""
        listed = self._run("dump-flows", self._target, f"cookie={cookie:#x}/-1")
        return flowtext.parse_flows(listed).get(cookie, frozenset())

    def replace(self, changes: FlowChanges) -> None:
        """Add meters, which flows refer to; change the flows in one bundle; delete meters that are not used."""
        metermods.put(self._socket, changes.meters)
        if text := flowtext.bundle(changes):
            self._run("--bundle", "add-flows", self._target, "-", text=text)
        metermods.delete(self._socket, changes.delete_meters)

    def close(self) -> None:
        """End the flow monitor."""
        self._monitor.close()

    def _count(self, match: str) -> int:
        found = _FLOW_COUNT.search(self._run("dump-aggregate", self._target, match))
        return int(found[1]) if found else 0

    def _run(self, *arguments: str, text: str | None = None) -> str:
        command = ["ovs-ofctl", "-O", "OpenFlow15", "--no-names", *arguments]
        try:
            done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"ovs-ofctl: {error}") from error
        if done.returncode:
            error_text = done.stderr.strip()[-500:]
            refused = "OFPT_ERROR" in error_text or "Error OFP" in error_text
            raise (Invalid if refused else Unavailable)(f"ovs-ofctl {arguments[0]}: {error_text}")
        return done.stdout
