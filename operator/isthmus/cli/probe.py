"""`isthmus probe`: dataplane probes of one link, as `kubectl isthmus verify` and `bench` have them sent on the node.

Prints one JSON object. Nothing is created and nothing is changed on the node.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from isthmus.agent.linkprobe import BENCH_FRAMES_PER_SECOND, FRAMES_PER_SECOND, SHORTEST_BYTES, LinkProbe, Series
from isthmus.core.node.linktraffic import link_traffic
from isthmus.model.errors import Conflict
from isthmus.model.names import PROBE_REPORT_SCHEMA, probe_mac
from isthmus.model.node.flows import FlowView, LinkTraffic, Traffic
from isthmus.ports import DataplaneProbe

_EXCLUSION: Final = "\0isthmus-probe"
"""An abstract socket (unix(7)) leaves no file, and ends with its process."""
_ETHERNET_HEADER_BYTES: Final = 14


def verify(probe: DataplaneProbe, link: str, peer: str, mtu: int, count: int) -> dict[str, Any]:
    """The shortest frames, frames as long as the MTU, some between, and the largest size that comes back."""
    on_link = LinkProbe(probe, probe_mac(link, peer))
    sizes = (SHORTEST_BYTES, (SHORTEST_BYTES + mtu) // 2, mtu)
    series = [on_link.series(size, count) for size in sizes]
    largest = max((each.payload_bytes for each in series if each.rtt_seconds), default=None)
    if largest is not None and largest < mtu:
        largest = on_link.largest(mtu)
    return _report(link, peer, mtu, FRAMES_PER_SECOND, series) | {"largestBytes": largest}


def bench(
    probe: DataplaneProbe,
    flows: Callable[[], FlowView],
    link: str,
    peer: str,
    mtu: int,
    seconds: int,
    monotonic: Callable[[], float] = time.monotonic,
) -> dict[str, Any]:
    """Frames as long as the MTU for so many seconds, and what the link has carried besides."""
    mac = probe_mac(link, peer)
    before, began_at = link_traffic(flows(), mac), monotonic()
    full = LinkProbe(probe, mac).series(mtu, seconds * BENCH_FRAMES_PER_SECOND, BENCH_FRAMES_PER_SECOND)
    after, elapsed = link_traffic(flows(), mac), monotonic() - began_at
    counters = None if before is None or after is None else _counters(before, after, full)
    report = _report(link, peer, mtu, BENCH_FRAMES_PER_SECOND, [full])
    return report | {"counters": counters, "counterSeconds": round(elapsed, 3)}


@contextmanager
def exclusive() -> Iterator[None]:
    """Raises Conflict while another such command runs on the node: two of them might exceed a peer's meter."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        try:
            held.bind(_EXCLUSION)
        except OSError:
            raise Conflict("another isthmus probe is running on this node: try again when it has ended") from None
        yield


def printed(report: dict[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps(report)


def _report(link: str, peer: str, mtu: int, pace: int, series: list[Series]) -> dict[str, Any]:
    return {
        "schema": PROBE_REPORT_SCHEMA,
        "link": link,
        "peer": peer,
        "mtu": mtu,
        "framesPerSecond": pace,
        "series": [
            {"bytes": each.payload_bytes, "sent": each.sent, "rttSeconds": [round(rtt, 6) for rtt in each.rtt_seconds]}
            for each in series
        ],
    }


def _counters(before: LinkTraffic, after: LinkTraffic, own: Series) -> dict[str, Any]:
    """Differences, without the frames of the series itself."""
    frame = _ETHERNET_HEADER_BYTES + own.payload_bytes
    return {
        "sent": _difference(before.sent, after.sent, own.sent, frame),
        "received": _difference(before.received, after.received, len(own.rtt_seconds), frame),
    }


def _difference(before: Traffic, after: Traffic, own_packets: int, frame_bytes: int) -> dict[str, int]:
    """Open vSwitch counts with a delay of about a second, so it may not have counted all of our own yet."""
    packets = after.packets - before.packets - own_packets
    octets = after.bytes - before.bytes - own_packets * frame_bytes
    return {"packets": max(0, packets), "bytes": max(0, octets)}
