"""Numbered broadcasts of several machines, to count which of them each machine receives, and how often."""

import re
import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.testbed.host.process import wait_until
from tests.testbed.workload.machine import Machine

_PROGRAM: Final = Path(__file__).parents[1] / "node" / "guest" / "numbered.py"
_INTERVAL_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Heard:
    """What one machine has sent and received."""

    name: str
    address: str
    sent: int
    seen: Counter[tuple[str, int]]
    """How often each broadcast arrived, by the sender's address and its number."""

    @property
    def more_than_once(self) -> list[tuple[str, int]]:
        """Broadcasts that arrived more than once, and own ones that came back."""
        return sorted(which for which, times in self.seen.items() if times > 1 or which[0] == self.address)

    def last_from(self, other: Machine) -> int:
        """The highest number that arrived from another machine; 0 if none did."""
        return max((number for source, number in self.seen if source == other.address), default=0)


class BroadcastRun:
    """Broadcasts of all these machines in the background, until the block ends."""

    def __init__(self, machines: Sequence[Machine], broadcast: str) -> None:
        self._machines = machines
        for machine in machines:
            name = _name(machine)
            machine.node.log(name).unlink(missing_ok=True)
            argv = ["/usr/bin/python3", "-IS", str(_PROGRAM), "eth0", str(machine.address), broadcast]
            machine.place.spawn([*argv, str(_INTERVAL_SECONDS)], name)

    def heard(self) -> dict[str, Heard]:
        """What each machine has sent and received so far, by the machine's name."""
        return {
            machine.name: read(machine.node.log(_name(machine)), machine.name, str(machine.address))
            for machine in self._machines
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for machine in self._machines:
            machine.node.kill(_name(machine), signal.SIGKILL)
            wait_until(lambda: not machine.node.alive(_name(machine)), 60, f"end of {_name(machine)}")  # noqa: B023


def _name(machine: Machine) -> str:
    return f"numbered-{machine.name}"


def read(log: Path, name: str, address: str) -> Heard:
    """The output of one machine's program, which may still be writing."""
    output = log.read_text(errors="replace")
    seen = Counter((source, int(number)) for source, number in re.findall(r"^seen (\S+) (\d+)\n", output, re.MULTILINE))
    sent = [int(number) for number in re.findall(r"^sent (\d+)\n", output, re.MULTILINE)]
    return Heard(name, address, max(sent, default=0), seen)
