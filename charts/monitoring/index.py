"""The list of all alerts for the runbooks: `python -m charts.monitoring.index docs/runbooks/README.md`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from .alerts import ALERTS

_HEADING: Final = """# Runbooks

<!-- Generated from charts/monitoring/alerts; do not edit. `make generate` writes it. -->

One page for each alert: what it means, what suffers, how to find the cause, and what to do.
[monitoring.md](../monitoring.md) has how alerts are installed. *Critical* alerts mean that traffic
does not pass, or that nothing reacts to changes any more.

"""


def render() -> str:
    """The page."""
    rows = [f"- [{alert.name}]({alert.name}.md), {alert.severity}:\n  {alert.summary}" for alert in ALERTS]
    return _HEADING + "\n".join(rows) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(render())
