"""Flows that answer ARP requests of this cloud for addresses of the peers' machines; see docs/br-cloud.md.

KNOWN maps an address of a network to its MAC address. It is looked up for the target of a request, and once that is
known for its sender: if a peer publishes that address, it announces that it has moved here, and the request crosses.
What is sent to a MAC address that was not learned goes to the member that publishes it.

The requests of this cloud's own routers cross: a router that Open vSwitch itself is made of (OVN's) injects them
without an ingress port, and what has none is lost when the kernel is to look at it once more.

The kernel can match fields of ARP but not change them, so that each answer is made by ovs-vswitchd. Requests that may
be answered therefore pass a meter, and are handed to the kernel once more: it drops what is too much by itself, by one
cached flow, before ovs-vswitchd sees it. Which of them are answered, and how, is found out behind the meter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isthmus.model.api.v1alpha1.attachment import MAX_KNOWN_ADDRESSES
from isthmus.model.node.flows import KnownAddress, PacketMeter
from isthmus.model.node.pipeline import Table, answer_meter

from .flowlines import flow, goto

_ANSWERS_PER_SECOND = 200
_ANSWER_BURST = 400
_MAX_KNOWN_ON_NODE = 65_536  # with two flows each, fewer than the networks that have so many have anyway

# xreg3 (reg6 and reg7): the MAC address that was found. xreg4 (reg8 and reg9): that of the target, while the sender is
# looked up in its place, and reg5 has the target's address.
_MAC_FOUND = "OXM_OF_PKT_REG3[0..47]"
_MAC_OF_TARGET = "OXM_OF_PKT_REG4[0..47]"
_UNKNOWN = "reg6=0,reg7=0"
_LOOK_UP = f"resubmit(,{Table.KNOWN:d})"
_GO_ON = f"resubmit(,{Table.FLOOD:d})"
# Open vSwitch leaves the rest to another pass of the kernel when a table follows on the removal of an MPLS label. As
# the label is never sent, that is all that the kernel sees of it.
_PASS_AGAIN = f"push_mpls:0x8847,pop_mpls:0x0806,{goto(Table.SENDER)}"
_ANSWER = ",".join(
    (
        "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
        f"move:{_MAC_OF_TARGET}->NXM_OF_ETH_SRC[]",
        "set_field:2->arp_op",
        "move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[]",
        f"move:{_MAC_OF_TARGET}->NXM_NX_ARP_SHA[]",
        "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[]",
        "move:NXM_NX_REG5[]->NXM_OF_ARP_SPA[]",
        "IN_PORT",
    )
)


def known_per_link(links: int) -> int:
    """How many addresses of each link have flows on a node with so many links: a power of two, or none."""
    share = _MAX_KNOWN_ON_NODE // links if links else MAX_KNOWN_ADDRESSES
    return min(MAX_KNOWN_ADDRESSES, 1 << share.bit_length() - 1) if share else 0


def common_answers() -> Iterator[str]:
    """The steps that all networks share."""
    # A machine that has no address yet asks whether another one has it (RFC 5227): those themselves must answer.
    yield flow(Table.RESOLVE, 20, "arp,arp_spa=0.0.0.0", _GO_ON)
    request = "arp,reg2=0,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1"
    yield flow(Table.RESOLVE, 10, request, f"{_LOOK_UP},{goto(Table.LIMIT)}")
    yield flow(Table.RESOLVE, 0, "", _GO_ON)
    yield flow(Table.LIMIT, 20, _UNKNOWN, _GO_ON)
    yield flow(Table.LIMIT, 0, "", _GO_ON)
    yield flow(
        Table.SENDER,
        0,
        "arp",
        "move:OXM_OF_PKT_REG3[]->OXM_OF_PKT_REG4[],set_field:0->xreg3,move:NXM_OF_ARP_TPA[]->NXM_NX_REG5[],"
        f"move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],{_LOOK_UP},move:NXM_NX_REG5[]->NXM_OF_ARP_TPA[],{goto(Table.ANSWER)}",
    )
    yield flow(Table.ANSWER, 10, f"arp,{_UNKNOWN}", _ANSWER)
    yield flow(Table.ANSWER, 0, "", _GO_ON)


def answers_limit(network: int) -> PacketMeter:
    """The meter in front of the answers to machines of a network."""
    return PacketMeter(answer_meter(network), _ANSWERS_PER_SECOND, _ANSWER_BURST)


def network_answers(network: int, known: Iterable[tuple[int, KnownAddress]], routers: Iterable[str]) -> Iterator[str]:
    """The known addresses of a network, each with the number of its member, and the limit of what is answered.

    `routers` are the addresses of this cloud's own ones, of either family.
    """
    macs: dict[str, str] = {}
    members: dict[str, int] = {}
    for member, entry in known:
        macs.setdefault(entry.address, entry.mac)
        members.setdefault(entry.mac, member)
    for address, mac in macs.items():
        found = int(mac.replace(":", ""), 16)
        yield flow(Table.KNOWN, 10, f"arp,reg0={network:#x},arp_tpa={address}", f"set_field:{found:#x}->xreg3")
    # A machine that is answered for may never send a frame by which its address is learned.
    for mac, member in members.items():
        to_member = f"set_field:{member:#x}->reg2,resubmit(,{Table.OUTPUT:d})"
        yield flow(Table.RESOLVE, 10, f"reg0={network:#x},reg2=0,reg3=0,dl_dst={mac}", to_member)
    if macs:
        for address in (address for address in routers if ":" not in address):
            yield flow(Table.RESOLVE, 20, f"arp,reg0={network:#x},arp_spa={address}", _GO_ON)
        yield flow(Table.LIMIT, 10, f"arp,reg0={network:#x}", f"meter:{answer_meter(network)},{_PASS_AGAIN}")
