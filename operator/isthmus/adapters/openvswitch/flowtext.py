"""The texts of ovs-ofctl(8): what it lists, and the bundles that it reads."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from isthmus.model.node.drops import Drop, DropKey
from isthmus.model.node.flows import (
    BandwidthMeter,
    FlowChanges,
    Flows,
    FlowView,
    LinkTraffic,
    Meter,
    PacketMeter,
    SetChange,
    Traffic,
)
from isthmus.model.node.pipeline import (
    COOKIE_SHIFT,
    LEARNED_OWNER,
    OWNER,
    OWNER_MASK,
    Direction,
    Table,
    direction_of_meter,
    network_of_meter,
    sender_of_meter,
)

_FLOW = re.compile(
    r"^ cookie=0x([0-9a-f]+), duration=[^,]+, table=(\d+), n_packets=(\d+), n_bytes=(\d+),(?: (?:idle|hard)_age=\d+,)* "
    r"(.*)$",
    re.MULTILINE,
)
_SENT = re.compile(r"\breg0=(0x[0-9a-f]+),reg1=0,reg2=(0x[0-9a-f]+) ")
_RECEIVED = re.compile(r"\btun_id=.*\bset_field:(0x[0-9a-f]+)->reg0,set_field:(0x[0-9a-f]+)->reg1,")
_ACTIVE = re.compile(
    r"^  tables? (\d+)(?:\.\.\.(\d+))?(?: \(\"[^\"]*\"\))?: ?(ditto)?(?:\s+active=(\d+))?", re.MULTILINE
)
_METER = re.compile(r"meter=(\d+) (pktps|kbps) burst(?: stats)? bands=\s*type=drop rate=(\d+) burst_size=(\d+)")
_METER_ID = re.compile(r"^meter=(\d+)", re.MULTILINE)
_DROPPED = re.compile(  # the reasons that this release knows, where there are any packets
    rf"^ cookie=0x{OWNER:x}[0-9a-f]{{12}}, duration=[^,]+, table={Table.DROP:d}, n_packets=([1-9]\d*), "
    r"[^\n]*?priority=10,reg0=(0x[0-9a-f]+),reg1=(0x[0-9a-f]+|0),reg4=0x([1-7]) actions=drop$",
    re.MULTILINE,
)
_RELAYED = re.compile(  # likewise; the flow of probes has a longer match
    rf"^ cookie=0x{OWNER:x}[0-9a-f]{{12}}, duration=[^,]+, table={Table.OUTPUT:d}, "
    r"n_packets=([1-9]\d*), n_bytes=(\d+), "
    r"[^\n]*?priority=10,reg0=(0x[0-9a-f]+),reg1=(0x[0-9a-f]+),reg2=(0x[0-9a-f]+) ",
    re.MULTILINE,
)
_METERED = re.compile(r"^meter:(\d+) [^\n]*\n0: packet_count:([1-9]\d*) ", re.MULTILINE)


def parse_flows(text: str) -> dict[int, Flows]:
    """The flows by cookie that `dump-flows` lists, as `model.node.flows.Flows`."""
    flows: defaultdict[int, set[str]] = defaultdict(set)
    for cookie, table, _, _, rest in _FLOW.findall(text):
        flows[int(cookie, 16)].add(f"table={table},{rest}")
    return {cookie: frozenset(found) for cookie, found in flows.items()}


def parse_traffic(text: str) -> dict[tuple[int, int], LinkTraffic]:
    """The counters of links that `dump-flows` lists, by the numbers of network and member."""
    sent: dict[tuple[int, int], Traffic] = {}
    received: dict[tuple[int, int], Traffic] = {}
    for cookie, table, packets, octets, rest in _FLOW.findall(text):
        if int(cookie, 16) >> COOKIE_SHIFT != OWNER:
            continue
        if int(table) == Table.OUTPUT and (match := _SENT.search(rest)):
            sent[int(match[1], 16), int(match[2], 16)] = Traffic(int(packets), int(octets))
        elif int(table) == Table.MAP and (match := _RECEIVED.search(rest)):
            key = int(match[1], 16), int(match[2], 16)
            before = received.get(key, Traffic(0, 0))  # by the member's other path
            received[key] = Traffic(before.packets + int(packets), before.bytes + int(octets))
    nothing = Traffic(0, 0)
    return {
        key: LinkTraffic(sent.get(key, nothing), received.get(key, nothing)) for key in sent.keys() | received.keys()
    }


def parse_relayed(text: str) -> dict[tuple[int, int, int], Traffic]:
    """What was handed on, by the numbers of network, sender and receiver, from the flows that `dump-flows` lists."""
    return {
        (int(network, 16), int(sender, 16), int(receiver, 16)): Traffic(int(packets), int(octets))
        for packets, octets, network, sender, receiver in _RELAYED.findall(text)
    }


def parse_active(text: str) -> dict[int, int]:
    """The number of flows in each table that has any, from `dump-tables`, which writes `ditto` for equal tables."""
    active: dict[int, int] = {}
    count = 0
    for first, last, ditto, number in _ACTIVE.findall(text):
        count = count if ditto else int(number or 0)
        for table in range(int(first), int(last or first) + 1) if count else ():
            active[table] = count
    return active


def parse_meters(text: str) -> tuple[frozenset[Meter], frozenset[int]]:
    """The meters that `dump-meters` lists, and the IDs of those of another form than ours."""
    kinds: dict[str, type[Meter]] = {"pktps": PacketMeter, "kbps": BandwidthMeter}
    meters = frozenset(kinds[unit](int(id_), int(rate), int(burst)) for id_, unit, rate, burst in _METER.findall(text))
    return meters, meter_ids(text) - {meter.id for meter in meters}


def meter_ids(text: str) -> frozenset[int]:
    """The IDs of all meters that `dump-meters` lists."""
    return frozenset(map(int, _METER_ID.findall(text)))


def bundle(changes: FlowChanges) -> str:
    """The flow changes as `--bundle add-flows` reads them: all deletions come first."""
    lines = [line for change in changes.sets for line in _deletions(change)]
    lines += _foreign_learned() if changes.delete_foreign_learned else ()
    lines += (f"add cookie={change.cookie:#x},{flow}" for change in changes.sets for flow in change.add)
    return "".join(f"{line}\n" for line in lines)


def _deletions(change: SetChange) -> Iterator[str]:
    for table in change.delete_tables:
        yield f"delete cookie={change.cookie:#x}/-1,table={table}"
    for match in change.delete:
        yield f"delete_strict cookie={change.cookie:#x}/-1,{match}"
    for cookie, mask in change.forget:
        yield f"delete cookie={cookie:#x}/{mask:#x},table={Table.LEARNED:d}"


def _foreign_learned() -> Iterable[str]:
    """Deletes what differs in any one bit of the cookie's owner, since nothing can be deleted for being unequal."""
    for bit in range(COOKIE_SHIFT, COOKIE_SHIFT + 16):
        mask = 1 << bit
        yield f"delete cookie={(LEARNED_OWNER << COOKIE_SHIFT ^ mask) & mask:#x}/{mask:#x},table={Table.LEARNED:d}"


def parse_drops(flows: str, meters: str) -> dict[DropKey, int]:
    """What the guard has dropped, from the flows that `dump-flows` lists, and the storm meters, from `meter-stats`."""
    by_guard = {
        (int(network, 16), int(sender, 16), Drop(int(reason, 16))): int(packets)
        for packets, network, sender, reason in _DROPPED.findall(flows)
    }
    by_meters: Counter[DropKey] = Counter()  # a network has two meters for what this cloud sends
    for meter, packets in _METERED.findall(meters):
        if network := network_of_meter(int(meter)):
            by_meters[network, sender_of_meter(int(meter)), Drop.STORM] += int(packets)
    return by_guard | by_meters


def parse_over_bandwidth(meters: str) -> dict[tuple[int, Direction], int]:
    """What the bandwidth meters of peers have dropped, from `meter-stats`."""
    counted = ((int(meter), int(packets)) for meter, packets in _METERED.findall(meters))
    return {
        (sender_of_meter(meter), direction): packets
        for meter, packets in counted
        if (direction := direction_of_meter(meter)) is not None
    }


def view(text: str, meters: str, meter_statistics: str, foreign_learned: bool) -> FlowView:
    """The view from the listed flows and meters."""
    ours, others = parse_meters(meters)
    dropped, over_bandwidth = parse_drops(text, meter_statistics), parse_over_bandwidth(meter_statistics)
    return FlowView(
        parse_flows(text),
        ours,
        others,
        parse_traffic(text),
        dropped,
        foreign_learned,
        over_bandwidth,
        parse_relayed(text),
    )


LEARNED_COOKIES = f"cookie={LEARNED_OWNER << COOKIE_SHIFT:#x}/{OWNER_MASK:#x}"
"""Selects our learned flows."""
