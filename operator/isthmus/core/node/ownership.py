"""Flows by which a frame is dropped whose source MAC address is another member's; see docs/br-cloud.md.

Two tables, which MAP looks up before the guard. OWNER has one flow for each MAC address that a member publishes, which
writes its owner to reg10. OWN has one flow for each owner, which clears reg10 if the frame comes from there: OpenFlow
cannot compare two registers. What the guard then finds in reg10 is of somebody else. An address that nobody publishes
is not in OWNER.

These flows of a network are a set of their own: one port more or less is one flow of it, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from isthmus.model.node.flows import FlowSet, Owner
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, Table, owner_cookie

from .flowlines import flow, goto

_OWNED: Final = 0x10000  # beside the owner's number, which is 0 for this cloud
LOOK_UP: Final = f"resubmit(,{Table.OWNER:d})"
FOREIGN: Final = f"reg10={_OWNED:#x}/{_OWNED:#x}"
"""Matches what LOOK_UP found to be another member's."""


def probes_without_owner() -> str:
    """Probes pass whatever is published: nobody may cut a path by publishing the source address of its probes."""
    return flow(Table.OWNER, 20, f"dl_type={PROBE_ETHERTYPE:#06x}", "drop")


def owner_set(name: str, network: int, owners: Mapping[int, Iterable[str]]) -> FlowSet:
    """The flows of the network of that link name and number; `owners` are MAC addresses by member, 0: this cloud."""
    flows = frozenset(flow for member, macs in owners.items() for flow in _owned(network, member, macs))
    return FlowSet(Owner("network", name), owner_cookie(network), flows)


def _owned(network: int, member: int, macs: Iterable[str]) -> Iterator[str]:
    reg0, sender, owner = f"reg0={network:#x}", f"reg1={member:#x}" if member else "reg1=0", f"{_OWNED | member:#x}"
    for mac in macs:
        yield flow(Table.OWNER, 10, f"{reg0},dl_src={mac}", f"set_field:{owner}->reg10,{goto(Table.OWN)}")
    yield flow(Table.OWN, 10, f"{reg0},{sender},reg10={owner}", "set_field:0->reg10")
