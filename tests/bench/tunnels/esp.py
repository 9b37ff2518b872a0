"""Static SAs of the kernel, with the ciphers that a tunnel may have, and what they have carried."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from tests.kernel.openvswitch import sh

KERNEL_CIPHERS: Final[Mapping[str, str]] = {
    "aes256gcm16": "rfc4106(gcm(aes))",
    "chacha20poly1305": "rfc7539esp(chacha20,poly1305)",
}
"""The kernel's name by the word of a proposal. Both have keys of 256 bits, behind which there are 32 of salt."""
_KEY_BYTES: Final = 32 + 4
_ICV_BITS: Final = 128
_REPLAY_WINDOW_PACKETS: Final = 32
_FIRST_SPI: Final = 0xE0000


@dataclass(frozen=True)
class End:
    """A network namespace with an address, and the network whose packets the SAs there protect."""

    netns: str
    address: str
    network: str


def protect(ends: tuple[End, End], mode: Literal["transport", "tunnel"], cipher: str, number: int) -> None:
    """Protect all packets between both networks; `number` is different for each pair of ends."""
    a, b = ends
    states = "".join(
        f"xfrm state add src {source.address} dst {destination.address} proto esp spi {_FIRST_SPI + spi:#x} "
        f"reqid {number} mode {mode} replay-window {_REPLAY_WINDOW_PACKETS} "
        f"aead {KERNEL_CIPHERS[cipher]} 0x{secrets.token_hex(_KEY_BYTES)} {_ICV_BITS}\n"
        for spi, (source, destination) in enumerate(((a, b), (b, a)), 2 * number)
    )
    for near, far in ((a, b), (b, a)):
        out, back = (near, far, "out"), (far, near, "in")
        forwarded = ((far, near, "fwd"),) if mode == "tunnel" else ()
        policies = "".join(
            f"xfrm policy add src {source.network} dst {destination.network} dir {direction} "
            f"tmpl src {source.address} dst {destination.address} proto esp reqid {number} mode {mode}\n"
            for source, destination, direction in (out, back, *forwarded)
        )
        sh(f"ip -batch - <<'END'\n{states}{policies}END", near.netns)


def carried_bytes(netns: str) -> int:
    """Bytes that all SAs of a network namespace have carried."""
    counts = re.findall(r"^\s+(\d+)\(bytes\), \d+\(packets\)", sh("ip -s xfrm state list nokeys", netns), re.MULTILINE)
    return sum(map(int, counts))
