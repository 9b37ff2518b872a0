"""Overheads and largest unfragmented packets of all kinds of tunnels, seen on the wire between real gateways."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from isthmus.model.node.tunnel import EncapsulationName
from tests.bench.tunnels import ciphers
from tests.bench.tunnels.variants import PROTECTIONS, Overhead, Protection
from tests.kernel.kinds import HUB, IPV4, IPV6, Federation, Wan, federation
from tests.kernel.node import packets_at
from tests.kernel.openvswitch import sh

KINDS: Final[dict[str, EncapsulationName]] = {"b": "VXLAN", "c": "Geneve", "d": "GRE", "e": "VXLAN"}
CIPHERS: Final = {"b": "aes256gcm16", "c": "aes256gcm16", "d": "aes256gcm16", "e": "chacha20poly1305"}
_ALIGNMENT_BYTES: Final = 4
_SMALLEST, _TOO_LARGE = 1200, 1500
_FRAGMENT_HEADER: Final = 44  # the next header of a fragment (RFC 8200)


def measure(directory: Path) -> list[Overhead]:
    """One federation after the other."""
    found = []
    for protection in PROTECTIONS:
        place = directory / f"{protection.mode}{protection.underlay}{protection.through_nat}"
        place.mkdir()
        for overhead in _of_protection(protection, place):
            print(overhead, flush=True)
            found.append(overhead)
    return found


def _of_protection(protection: Protection, directory: Path) -> Iterator[Overhead]:
    kinds = {peer: kind for peer, kind in KINDS.items() if protection.carries(kind)}
    wan = Wan(IPV4 if protection.underlay == 4 else IPV6)
    with federation(kinds, directory, protection.mode, wan) as made:
        for peer in kinds:
            ciphers.use(made, peer, CIPHERS[peer])
        made.fences()
        if protection.through_nat:
            _translate_ports()
        made.connect()
        for peer, kind in kinds.items():
            ciphers.require(made, peer, CIPHERS[peer])
            _require_nat(made, peer, through_nat=protection.through_nat)
            with packets_at(f"wan-{HUB}") as wire:
                yield _overhead(_Crossing(made, peer, wire), protection, kind, CIPHERS[peer])


def _translate_ports() -> None:
    """Have the hub's node send IKE, and with it ESP in UDP, from other ports, as a NAT does."""
    sh(
        "nft 'add table inet nat; add chain inet nat post { type nat hook postrouting priority srcnat; }; "
        "add rule inet nat post oifname eth0 udp sport { 500, 4500 } masquerade to :20000-30000'",
        HUB,
    )


def _require_nat(federation: Federation, peer: str, *, through_nat: bool) -> None:
    """Raise RuntimeError unless ESP is in UDP exactly if there is a NAT."""
    states = sh("ip xfrm state list nokeys", federation.clouds[peer].node.name)
    if ("espinudp" in states) != through_nat:
        raise RuntimeError(f"ESP of {peer} is {'not ' if through_nat else ''}in UDP:\n{states}")


class _Crossing:
    """What the packets of a hub's machine to that of one peer become on the wire."""

    def __init__(self, federation: Federation, peer: str, wire: socket.socket) -> None:
        self._machine, self._wire = federation.machines[peer], wire
        if self._machine.ping(3) == 0:
            raise RuntimeError(f"the machine at {peer} does not answer")

    def answered(self, size: int) -> bool:
        """Whether a packet of so many bytes arrives, and its answer, in fragments or not."""
        return self._machine.ping(1, size) == 1

    def outer_bytes(self, size: int) -> int | None:
        """Bytes of the outer IP packet of a packet of so many bytes; None if it is lost or in fragments."""
        self._frames()
        if not self.answered(size):
            return None
        lengths = [_length(frame) for frame in self._frames()]
        return None if None in lengths else max(length for length in lengths if length is not None)

    def _frames(self) -> list[bytes]:
        frames = []
        while True:
            try:
                frames.append(self._wire.recv(65535, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return frames


def _length(frame: bytes) -> int | None:
    """Bytes of the IP packet in a frame, 0 of others; None if it is a fragment."""
    match int.from_bytes(frame[12:14], "big"):
        case 0x0800:
            length, _, offset = struct.unpack("!HHH", frame[16:22])
            return None if offset & 0x3FFF else int(length)
        case 0x86DD:
            return None if frame[20] == _FRAGMENT_HEADER else 40 + int.from_bytes(frame[18:20], "big")
    return 0


def _overhead(crossing: _Crossing, protection: Protection, kind: EncapsulationName, cipher: str) -> Overhead:
    largest = _last(lambda size: crossing.outer_bytes(size) is not None)
    added = []
    for size in range(largest, largest - _ALIGNMENT_BYTES, -1):
        outer = crossing.outer_bytes(size)
        if outer is None or outer <= size:
            raise RuntimeError(f"{protection}, {kind}: {size} bytes did not cross whole, but {largest} did")
        added.append(outer - size)
    larger = "fragments" if crossing.answered(largest + 1) else "lost"
    return Overhead(str(protection), kind, cipher, largest, protection.largest(kind), added[0], max(added), larger)


def _last(crosses: Callable[[int], bool]) -> int:
    """The largest size that crosses; sizes from there on do not."""
    low, high = _SMALLEST, _TOO_LARGE
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if crosses(middle) else (low, middle)
    return low
