"""MTU values that were measured on real kernels, and properties that hold for every underlay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.tunnel import Encapsulation, Geneve, Gre, Vxlan

_ESP = 20 + 8 + 8 + 16 + 2  # IPv4, ESP, IV, ICV, trailer
_HEADERS = {
    Vxlan: 8 + 8 + 14,  # UDP, VXLAN, Ethernet
    Geneve: 8 + 8 + 14,  # UDP, Geneve without options, Ethernet
    Gre: 4 + 4 + 14,  # GRE, key, Ethernet
}
KINDS = st.sampled_from([Vxlan, Geneve, Gre])


@pytest.mark.parametrize(
    ("underlay", "inner"),
    [(1500, 1416), (1499, 1412), (1496, 1412), (1450, 1364), (1400, 1316), (9000, 8916), (1280, 1196)],
)
def test_known_mtu_values(underlay: int, inner: int) -> None:
    assert inner_mtu(underlay, Vxlan.HEADER_BYTES) == inner_mtu(underlay, Geneve.HEADER_BYTES) == inner
    assert inner_mtu(underlay, Gre.HEADER_BYTES) == inner + 8


@given(st.integers(600, 65535), KINDS)
def test_largest_packet_fits_and_one_more_byte_does_not(underlay: int, kind: type[Encapsulation]) -> None:
    def on_the_wire(inner: int) -> int:
        inside = _HEADERS[kind] + inner + 2
        return 20 + 8 + 8 + inside + -inside % 4 + 16

    largest = inner_mtu(underlay, kind.HEADER_BYTES)
    assert on_the_wire(largest) <= underlay < on_the_wire(largest + 1)


@given(st.integers(600, 65534), KINDS)
def test_mtu_is_monotonic(underlay: int, kind: type[Encapsulation]) -> None:
    largest = inner_mtu(underlay, kind.HEADER_BYTES)
    assert 0 <= inner_mtu(underlay + 1, kind.HEADER_BYTES) - largest <= 4
    assert underlay - largest - _ESP - _HEADERS[kind] in range(4)
