"""The largest IP packet of a machine that crosses the tunnel unfragmented, by the same arithmetic as the kernel's.

ESP (RFC 4303): SPI and sequence number, the cipher's IV, the payload with a trailer of 2 bytes behind padding, and the
cipher's ICV. In front of it an IP header, and where a NAT is on the path a UDP header (RFC 3948). The payload has the
encapsulation's headers, in tunnel mode behind an IP header of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from isthmus.model.addresses import IpVersion
from isthmus.model.proposals import ENCRYPTION

_IP_HEADER: Final[Mapping[IpVersion, int]] = MappingProxyType({4: 20, 6: 40})
_UDP_HEADER: Final = 8
_ESP_HEADER: Final = 8
_ESP_TRAILER: Final = 2


@dataclass(frozen=True)
class EspCipher:
    """What a cipher adds to each packet, in bytes."""

    iv_bytes: int
    icv_bytes: int
    alignment_bytes: int
    """Payload and trailer are padded to a multiple of this."""


_AEAD: Final = EspCipher(iv_bytes=8, icv_bytes=16, alignment_bytes=4)
CIPHERS: Final[Mapping[str, EspCipher]] = MappingProxyType(dict.fromkeys(ENCRYPTION, _AEAD))
"""By the word of a proposal: AES-GCM with an ICV of 16 bytes (RFC 4106), ChaCha20-Poly1305 (RFC 7634). They cost the
same, so that an MTU does not depend on which of a policy's proposals is chosen."""


def inner_mtu(
    underlay_mtu: int,
    header_bytes: int,
    *,
    underlay: IpVersion = 4,
    tunnel_mode: bool = False,
    inner: IpVersion = 4,
    through_nat: bool = False,
    cipher: EspCipher = _AEAD,
) -> int:
    """MTU in bytes over an encapsulation's headers and ESP; never more for a smaller `underlay_mtu`.

    `underlay` is the version of the outer packets, `inner` that of those inside ESP in tunnel mode. 1416 for 1500 with
    VXLAN or Geneve in transport mode over IPv4, 8 less through a NAT, 20 less over IPv6, 8 more with GRE.
    """
    outside = _IP_HEADER[underlay] + (_UDP_HEADER if through_nat else 0)
    protected = underlay_mtu - outside - _ESP_HEADER - cipher.iv_bytes - cipher.icv_bytes
    payload = protected // cipher.alignment_bytes * cipher.alignment_bytes - _ESP_TRAILER
    return payload - (_IP_HEADER[inner] if tunnel_mode else 0) - header_bytes


def default_mtu(address: str, underlay_mtu: int, header_bytes: int) -> int:
    """MTU in bytes by default to a peer with which nothing is agreed yet: without NAT, over IPv6 in tunnel mode."""
    version = ip_address(address).version
    return inner_mtu(underlay_mtu, header_bytes, underlay=version, tunnel_mode=version == 6)
