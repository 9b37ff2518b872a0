"""Packet captures on both sides of the WAN's router."""

import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, Self

from tests.testbed.topology import Location
from tests.testbed.wan.wire import Expected, Summary, read_pcap, summarise
from tests.testbed.wan.wiring import router_card

# Headers are sufficient for classification.
_BYTES_OF_A_FRAME: Final = 256
_BUFFER_KIBIBYTES: Final = 32768
_STOP_SECONDS: Final = 60
_SETTLE_SECONDS: Final = 0.5


class Recorder:
    """tcpdump on one interface."""

    def __init__(self, namespace: str, interface: str, path: Path) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [
                *["ip", "netns", "exec", namespace, "tcpdump", "-n", "-U", "--immediate-mode"],
                *["-Z", "root", "-i", interface],
                *["-s", str(_BYTES_OF_A_FRAME), "-B", str(_BUFFER_KIBIBYTES), "-w", str(path)],
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        # Frames sent before tcpdump reports "listening" are not recorded.
        for line in self._said:
            if "listening on" in line:
                return
        raise RuntimeError(f"tcpdump on {interface} in {namespace} ended immediately")

    @property
    def _said(self) -> IO[str]:
        if self._process.stderr is None:
            raise RuntimeError("tcpdump has no stderr")
        return self._process.stderr

    def stop(self) -> int:
        """Stop it; returns the number of frames that the kernel dropped."""
        self._process.send_signal(signal.SIGINT)
        _, output = self._process.communicate(timeout=_STOP_SECONDS)
        return sum(int(number) for number in re.findall(r"(\d+) packets? dropped by", output))


class Capture:
    """A capture of both sides; the files stay in `directory` until the lab is removed."""

    def __init__(self, directory: Path, recorders: list[Recorder], expected: Expected) -> None:
        self.directory = directory
        self._recorders = recorders
        self._expected = expected
        self._unrecorded = 0

    @classmethod
    def start(cls, namespace: str, lab_directory: Path, expected: Expected, sides: Iterable[Location]) -> Self:
        """Start recording the router's interfaces towards these clouds; returns when all are being recorded."""
        directory = Path(tempfile.mkdtemp(prefix="capture-", dir=lab_directory))
        cards = list(dict.fromkeys(router_card(site) for site in sides))
        recorders = [Recorder(namespace, card, directory / f"{card}.pcap") for card in cards]
        return cls(directory, recorders, expected)

    def expect(self, further: Expected) -> None:
        """Expect this traffic, too: of what was started after the capture."""
        before = self._expected
        cards, gateways = before.cards | further.cards, before.gateways | further.gateways
        self._expected = replace(before, cards=cards, gateways=gateways)

    @property
    def paths(self) -> list[Path]:
        """The files, one for each side."""
        return [recorder.path for recorder in self._recorders]

    def stop(self) -> None:
        """Stop recording, after frames in flight have arrived."""
        time.sleep(_SETTLE_SECONDS)
        self._unrecorded = sum(recorder.stop() for recorder in self._recorders)

    def summary(self) -> Summary:
        """Frames of both sides; a packet that passed the router counts on each side."""
        frames = (frame for path in self.paths for frame in read_pcap(path))
        return summarise(frames, self._expected, self._unrecorded)
