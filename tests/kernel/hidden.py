"""The hub of a federation behind a real NAT, and the wire between both: what it carries is ESP in UDP (RFC 3948)."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Final

from tests.kernel.behind import add_nat, add_node
from tests.kernel.kinds import HUB, Wan
from tests.kernel.node import Node, Wire, packets_at
from tests.kernel.openvswitch import inside, sh
from tests.testbed.wan.wire import mac_addresses

ENCAPSULATED: Final = (socket.IPPROTO_UDP, 4500)
_NAT: Final = "nat"
_LAN: Final = IPv4Network("10.0.1.0/24")
_HUB_ADDRESS: Final = "10.0.1.11"
_IPV4: Final = b"\x08\x00"
_PORTS: Final = ENCAPSULATED[1].to_bytes(2) * 2
_MORE_FRAGMENTS, _OFFSET = 0x2000, 0x1FFF
_HEADERS: Final = 8 + 8  # of UDP and of ESP
_IKE_MARKER: Final = bytes(4)


@dataclass(frozen=True)
class HiddenHub(Wan):
    """The hub cannot be reached; its NAT has the address that would else be the hub's. All others are public."""

    def address(self, name: str, position: int) -> str:
        """Private for the hub."""
        return _HUB_ADDRESS if name == HUB else super().address(name, position)

    def published(self, name: str, position: int) -> Mapping[str, Any]:
        """The hub's NAT is declared."""
        if name != HUB:
            return super().published(name, position)
        return {"name": f"gw-{name}", "address": super().address(name, position), "nat": "Behind"}

    def next_hop(self, node: Node) -> str:
        """The NAT."""
        return str(_LAN[1])

    def attach(self, node: Node) -> None:
        """The hub comes with its NAT."""
        if node.name != HUB:
            super().attach(node)
            return
        add_nat(_NAT, super().address("", 1), str(_LAN[0]).removesuffix(".0"), "")
        add_node(node, _NAT)

    @contextmanager
    def wire(self, nodes: tuple[Node, ...]) -> Iterator[Wire]:
        """Between the hub and its NAT."""
        with inside(_NAT, lambda: packets_at(f"lan-{HUB}")) as packets:
            yield _EncapsulatedWire(packets, nodes, _LAN, mac_addresses(sh("ip -j link", _NAT)))

    def remove(self) -> None:
        """The NAT."""
        sh(f"ip netns del {_NAT}")


class _EncapsulatedWire(Wire):
    """Shows frames with ESP in UDP as if they had ESP alone, and all others as they are."""

    def frames(self) -> Iterator[bytes]:
        """A fragment counts as ESP if the first one of its datagram did.

        The NAT writes its own address into later ones, which it has in common with the socket that records them.
        """
        begun: dict[bytes, bytes] = {}
        for frame in super().frames():
            ends = _ends_of_esp(frame, begun) if _is_udp(frame) else None
            yield frame[:23] + bytes([socket.IPPROTO_ESP]) + frame[24:26] + ends + frame[34:] if ends else frame


def _is_udp(frame: bytes) -> bool:
    return frame[12:14] == _IPV4 and frame[23] == socket.IPPROTO_UDP


def _ends_of_esp(frame: bytes, begun: dict[bytes, bytes]) -> bytes | None:
    """Both addresses of UDP that has ESP in it; `begun` has those of datagrams of which more fragments may follow."""
    fragment, datagram = int.from_bytes(frame[20:22]), frame[18:20] + frame[30:34]  # its ID and destination
    if fragment & _OFFSET:
        return begun.get(datagram)
    length, payload = int.from_bytes(frame[38:40]), frame[42:]
    if frame[34:38] != _PORTS or length <= _HEADERS or payload.startswith(_IKE_MARKER):
        return None
    if fragment & _MORE_FRAGMENTS:
        begun[datagram] = frame[26:34]
    return frame[26:34]
