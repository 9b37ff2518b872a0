"""Counters of one link among all flows of br-cloud."""

from __future__ import annotations

import re
from typing import Final

from isthmus.model.node.flows import FlowView, LinkTraffic
from isthmus.model.node.pipeline import Table

_NUMBERS: Final = re.compile(r"\bset_field:(0x[0-9a-f]+)->reg0,set_field:(0x[0-9a-f]+)->reg2\b")


def link_traffic(view: FlowView, probe_mac: str) -> LinkTraffic | None:
    """What the link whose probes have that source address has carried; None if br-cloud does not forward it."""
    start, source = f"table={Table.CLASSIFY:d},", f"dl_src={probe_mac},"
    for flows in view.flows.values():
        for flow in flows:
            if flow.startswith(start) and source in flow and (numbers := _NUMBERS.search(flow)):
                return view.traffic.get((int(numbers[1], 16), int(numbers[2], 16)))
    return None
