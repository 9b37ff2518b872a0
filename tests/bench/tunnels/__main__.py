"""Measure inside a guest: `python -m tests.bench.tunnels throughput|overheads|relayed FILE`."""

import json
import logging
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench.tunnels import overheads, relayed, throughput


def main(what: str, file: str) -> None:
    """Write what was found as JSON."""
    logging.getLogger("isthmus").setLevel(logging.ERROR)
    measures: dict[str, Callable[[Path], Sequence[Any]]]
    measures = {"throughput": throughput.measure, "overheads": overheads.measure, "relayed": relayed.measure}
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-", dir="/dev/shm") as directory:
        found = measures[what](Path(directory))
    Path(file).write_text(json.dumps([asdict(each) for each in found]))


if __name__ == "__main__":
    main(*sys.argv[1:])
