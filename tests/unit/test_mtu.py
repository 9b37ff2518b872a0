"""MTU values that were measured on real kernels, and properties that hold for every underlay."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.placement.mtu import inner_mtu

_OUTER_WITHOUT_PADDING = 20 + 8 + 8 + 16 + 2 + 8 + 8 + 14  # IPv4, ESP, IV, ICV, trailer, UDP, VXLAN, Ethernet


@pytest.mark.parametrize(
    ("underlay", "inner"),
    [(1500, 1416), (1499, 1412), (1496, 1412), (1450, 1364), (1400, 1316), (9000, 8916), (1280, 1196)],
)
def test_known_mtu_values(underlay: int, inner: int) -> None:
    assert inner_mtu(underlay) == inner


@given(st.integers(600, 65535))
def test_largest_packet_fits_and_one_more_byte_does_not(underlay: int) -> None:
    def on_the_wire(inner: int) -> int:
        inside = 8 + 8 + 14 + inner + 2
        return 20 + 8 + 8 + inside + -inside % 4 + 16

    assert on_the_wire(inner_mtu(underlay)) <= underlay < on_the_wire(inner_mtu(underlay) + 1)


@given(st.integers(600, 65534))
def test_mtu_is_monotonic(underlay: int) -> None:
    assert 0 <= inner_mtu(underlay + 1) - inner_mtu(underlay) <= 4
    assert underlay - inner_mtu(underlay) - _OUTER_WITHOUT_PADDING in range(4)
