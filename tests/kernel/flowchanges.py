"""Which flows of a bridge change meanwhile, by Open vSwitch's own flow monitor: what was touched, not when."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.kernel.openvswitch import Switch, sh

_CHANGE = re.compile(r"event=(\w+)(?: reason=(\w+))? table=(\d+).*? cookie=(?:0x)?([0-9a-f]+) ?(\S*)")


@dataclass(frozen=True)
class FlowChange:
    """A flow that was added, also in place of the same one, modified or deleted."""

    event: str
    reason: str
    """Why it was deleted: delete, idle."""
    table: int
    cookie: int
    match: str
    """Without the priority."""


@contextmanager
def flow_changes(switch: Switch, bridge: str) -> Iterator[Callable[[], list[FlowChange]]]:
    """Yields a function that returns all changes so far, learned flows included."""
    control, listed = switch.directory / "flow-changes.ctl", switch.directory / "flow-changes.txt"
    monitor = f"--no-names monitor {bridge} 'watch:!initial' --detach --no-chdir --unixctl={control}"
    switch.ofctl(f"{monitor} </dev/null >{listed} 2>&1")

    def changes() -> list[FlowChange]:
        # What was changed before is reported before the answer to this.
        sh(f"ovs-appctl --timeout=15 -t {control} ofctl/barrier")
        text = listed.read_text()
        assert "PAUSED" not in text, "Open vSwitch reports each change"
        found = _CHANGE.findall(text)
        assert len(found) == text.count("event="), text
        return [
            FlowChange(event, why, int(table), int(cookie, 16), match) for event, why, table, cookie, match in found
        ]

    try:
        yield changes
    finally:
        sh(f"ovs-appctl --timeout=15 -t {control} exit")
