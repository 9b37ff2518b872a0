"""For any underlay and protection, the largest packet fits, one more byte does not, and it grows with the underlay."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.placement.mtu import CIPHERS, EspCipher, inner_mtu
from isthmus.model.node.tunnel import Encapsulation, Geneve, Gre, Vxlan

_HEADERS = {
    Vxlan: 8 + 8 + 14,  # UDP, VXLAN, Ethernet
    Geneve: 8 + 8 + 14,  # UDP, Geneve without options, Ethernet
    Gre: 4 + 4 + 14,  # GRE, key, Ethernet
}
_IP = {4: 20, 6: 40}
_CBC = EspCipher(iv_bytes=16, icv_bytes=12, alignment_bytes=16)
WINDOW_BYTES = 1500
KINDS = st.sampled_from([Vxlan, Geneve, Gre])
PROTECTIONS = st.fixed_dictionaries(
    {
        "underlay": st.sampled_from([4, 6]),
        "tunnel_mode": st.booleans(),
        "inner": st.sampled_from([4, 6]),
        "through_nat": st.booleans(),
        "cipher": st.sampled_from([*CIPHERS.values(), _CBC]),
    }
)


def _on_the_wire(inner: int, kind: type[Encapsulation], protection: dict[str, Any]) -> int:
    """Counted forward, header by header, as RFC 4303 and RFC 3948 put them."""
    cipher: EspCipher = protection["cipher"]
    inside = _HEADERS[kind] + inner
    if protection["tunnel_mode"]:
        inside += _IP[protection["inner"]]
    padded = -(-(inside + 2) // cipher.alignment_bytes) * cipher.alignment_bytes
    udp = 8 if protection["through_nat"] else 0
    return _IP[protection["underlay"]] + udp + 8 + cipher.iv_bytes + padded + cipher.icv_bytes


@given(st.integers(600, 65535), KINDS, PROTECTIONS)
def test_largest_packet_fits_and_one_more_byte_does_not(
    underlay: int, kind: type[Encapsulation], protection: dict[str, Any]
) -> None:
    largest = inner_mtu(underlay, kind.HEADER_BYTES, **protection)
    assert _on_the_wire(largest, kind, protection) <= underlay < _on_the_wire(largest + 1, kind, protection)


@given(st.integers(600, 65535 - WINDOW_BYTES), st.integers(600, 65535), KINDS, PROTECTIONS)
def test_a_larger_underlay_never_carries_less(
    begin: int, other: int, kind: type[Encapsulation], protection: dict[str, Any]
) -> None:
    """From one byte to the next, for which two examples at random would hardly ever do, and over any distance."""
    underlays = sorted({*range(begin, begin + WINDOW_BYTES), other})
    carried = [inner_mtu(underlay, kind.HEADER_BYTES, **protection) for underlay in underlays]
    assert carried == sorted(carried)


@given(st.integers(600, 65534), KINDS, PROTECTIONS)
def test_a_byte_more_of_the_underlay_is_a_step_of_the_cipher(
    underlay: int, kind: type[Encapsulation], protection: dict[str, Any]
) -> None:
    step = inner_mtu(underlay + 1, kind.HEADER_BYTES, **protection) - inner_mtu(
        underlay, kind.HEADER_BYTES, **protection
    )
    assert step in (0, protection["cipher"].alignment_bytes)
