"""The largest IP packet of a machine that crosses the tunnel unfragmented, by the same arithmetic as the kernel's.

ESP in transport mode with AES-GCM-16 (RFC 4303, RFC 4106): SPI and sequence number 8, IV 8, ICV 16, and a trailer of
2 bytes behind padding to a multiple of 4. The encapsulation's headers come on top.
"""

from __future__ import annotations

_IPV4_HEADER = 20
_ESP_HEADER = 8
_GCM_IV = 8
_GCM_ICV = 16
_ESP_TRAILER = 2
_ESP_ALIGNMENT = 4


def inner_mtu(underlay_mtu: int, header_bytes: int) -> int:
    """MTU in bytes over an encapsulation's headers, ESP transport mode, AES-GCM-16 and IPv4.

    1416 for 1500 with VXLAN or Geneve, 1424 with GRE.
    """
    protected = underlay_mtu - _IPV4_HEADER - _ESP_HEADER - _GCM_IV - _GCM_ICV
    payload = protected // _ESP_ALIGNMENT * _ESP_ALIGNMENT - _ESP_TRAILER
    return payload - header_bytes
