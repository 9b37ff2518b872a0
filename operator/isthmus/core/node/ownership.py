"""Flows by which a frame is dropped that has or claims another member's address; see docs/br-cloud.md.

MAP looks up tables before the guard. OWNER has one flow for each MAC address that a member publishes, which writes its
owner to reg10. OWN has one flow for each owner, which clears reg10 if the frame comes from there: OpenFlow cannot
compare two registers. Of frames that claim an IP address and have passed so far CLAIMED does the same for that one.
What the guard then finds in reg10 is of somebody else. An address that nobody publishes is in none of them.

These flows of a network are a set of their own: one port more or less is one flow of it for each of its addresses, and
nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from isthmus.model.node.flows import FlowSet, Owner, PlannedOwner
from isthmus.model.node.pipeline import PROBE_ETHERTYPE, Table, owner_cookie

from .flowlines import flow, goto

_OWNED: Final = 0x10000  # beside the owner's number, which is 0 for this cloud
_ADVERTISEMENT: Final = "icmp_type=136,icmp_code=0"
_SOLICITATION: Final = "icmp_type=135,icmp_code=0"
LOOK_UP: Final = f"resubmit(,{Table.OWNER:d}),resubmit(,{Table.CLAIM:d})"
FOREIGN: Final = f"reg10={_OWNED:#x}/{_OWNED:#x}"
"""Matches what LOOK_UP found to be another member's."""


def common_ownership() -> Iterator[str]:
    """The flows that all networks share."""
    # Probes pass whatever is published: nobody may cut a path by publishing the source address of its probes.
    yield flow(Table.OWNER, 20, f"dl_type={PROBE_ETHERTYPE:#06x}", "drop")
    # In a table of its own, so that the kernel's cached flows of all other frames have no IP addresses in them.
    for kind in ("arp,reg10=0", f"icmp6,reg10=0,{_ADVERTISEMENT}", f"icmp6,reg10=0,{_SOLICITATION}"):
        yield flow(Table.CLAIM, 10, kind, goto(Table.CLAIMED))


def owner_set(name: str, network: int, owners: Mapping[int, PlannedOwner]) -> FlowSet:
    """The flows of the network of that link name and number; `owners` are by member, 0: this cloud."""
    flows = frozenset(flow for member, owner in owners.items() for flow in _owned(network, member, owner))
    return FlowSet(Owner("network", name), owner_cookie(network), flows)


def _owned(network: int, member: int, owner: PlannedOwner) -> Iterator[str]:
    reg0, sender, number = f"reg0={network:#x}", f"reg1={member:#x}" if member else "reg1=0", f"{_OWNED | member:#x}"
    for mac in owner.macs:
        yield flow(Table.OWNER, 10, f"{reg0},dl_src={mac}", f"set_field:{number}->reg10,{goto(Table.OWN)}")
    for address in owner.addresses:
        for claim in _claims(reg0, address):
            yield flow(Table.CLAIMED, 10, claim, f"set_field:{number}->reg10,resubmit(,{Table.OWN:d})")
    yield flow(Table.OWN, 10, f"{reg0},{sender},reg10={number}", "set_field:0->reg10")


def _claims(reg0: str, address: str) -> Iterator[str]:
    """Matches of the frames that claim an address: all senders in ARP, and in discovery (RFC 4861) what is advertised
    and who solicits, whose link-layer address is believed, too. Searches for duplicates, which ask only, have no sender
    (RFC 5227, RFC 4862).
    """
    if ":" not in address:
        yield f"arp,{reg0},arp_spa={address}"
    else:
        yield f"icmp6,{reg0},{_ADVERTISEMENT},nd_target={address}"
        yield f"icmp6,{reg0},ipv6_src={address},{_SOLICITATION}"
