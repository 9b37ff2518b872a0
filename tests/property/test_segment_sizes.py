"""For any underlay, full segments cross whole, are no smaller than necessary, and grow with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from isthmus.agent.clamping import wanted_clamps
from isthmus.core.node.clamping import maximum_segment
from isthmus.core.node.plan import NodePlan
from isthmus.core.placement.mtu import inner_mtu
from isthmus.model.node.host import NodeAddress
from isthmus.model.node.switch import BridgeView, Ports, TunnelPort
from isthmus.model.node.tunnel import Encapsulation, Geneve, Gre, TunnelEnds, Vxlan
from isthmus.model.types import MAXIMUM_MTU, MINIMUM_MTU

MTUS = st.integers(MINIMUM_MTU, MAXIMUM_MTU)
KINDS = st.one_of(st.builds(Vxlan, st.integers(1, 65535)), st.builds(Geneve, st.integers(1, 65535)), st.just(Gre()))
HEADERS = {4: 20 + 20, 6: 40 + 20}  # of the IP version, and of TCP without options


def _mtu(kind: Encapsulation, underlay_mtu: int) -> int:
    address = NodeAddress("192.0.2.1", underlay_mtu)
    port = TunnelPort("ist", kind, TunnelEnds(address.address, "198.51.100.1"))
    plan = NodePlan(addresses=(address,), ports=Ports(frozenset({port})))
    (found,) = wanted_clamps(plan, BridgeView(True, plan.ports))
    assert found.device == kind.device
    return found.mtu


@given(MTUS, KINDS, st.sampled_from(sorted(HEADERS)))
def test_a_full_segment_fits_and_one_byte_more_does_not(underlay_mtu: int, kind: Encapsulation, version: int) -> None:
    packet = maximum_segment(_mtu(kind, underlay_mtu), version) + HEADERS[version]
    assert _outer_bytes(packet, kind) <= underlay_mtu < _outer_bytes(packet + 1, kind)


@given(MTUS, MTUS, KINDS)
def test_a_larger_underlay_has_no_smaller_segments(one: int, other: int, kind: Encapsulation) -> None:
    small, large = sorted((one, other))
    assert _mtu(kind, small) <= _mtu(kind, large)


@given(MTUS, KINDS)
def test_the_limit_is_the_mtu_that_networks_get(underlay_mtu: int, kind: Encapsulation) -> None:
    assert _mtu(kind, underlay_mtu) == inner_mtu(underlay_mtu, kind.HEADER_BYTES)


def _outer_bytes(packet: int, kind: Encapsulation) -> int:
    """Counted forward, by RFC 4303 and RFC 4106: IPv4, SPI and sequence number, IV, padded payload and trailer, ICV."""
    padded = -(-(packet + kind.HEADER_BYTES + 2) // 4) * 4
    return 20 + 8 + 8 + padded + 16
