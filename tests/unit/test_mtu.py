"""MTU values that were measured on real kernels, and that every cipher which a policy may have is known."""

from __future__ import annotations

import pytest

from isthmus.core.placement.mtu import CIPHERS, EspCipher, default_mtu, inner_mtu
from isthmus.model.addresses import IpVersion
from isthmus.model.node.tunnel import Geneve, Gre, Vxlan
from isthmus.model.proposals import ENCRYPTION

CBC_WITH_SHA256 = EspCipher(iv_bytes=16, icv_bytes=16, alignment_bytes=16)
"""No policy may have it: it shows what alignment to a block of the cipher costs."""


@pytest.mark.parametrize(
    ("underlay", "inner"),
    [(1500, 1416), (1499, 1412), (1496, 1412), (1450, 1364), (1400, 1316), (9000, 8916), (1280, 1196)],
)
def test_known_mtu_values(underlay: int, inner: int) -> None:
    assert inner_mtu(underlay, Vxlan.HEADER_BYTES) == inner_mtu(underlay, Geneve.HEADER_BYTES) == inner
    assert inner_mtu(underlay, Gre.HEADER_BYTES) == inner + 8


@pytest.mark.parametrize(
    ("underlay", "tunnel_mode", "through_nat", "udp", "gre"),
    [
        (4, False, False, 1416, 1424),
        (4, False, True, 1408, 1416),
        (4, True, False, 1396, 1404),
        (4, True, True, 1388, 1396),
        (6, False, False, 1396, None),
        (6, True, False, 1376, 1384),
        (6, True, True, 1368, 1376),
    ],
)
def test_modes_over_an_underlay_of_1500(
    underlay: IpVersion, tunnel_mode: bool, through_nat: bool, udp: int, gre: int | None
) -> None:
    for kind, largest in ((Vxlan, udp), (Geneve, udp), (Gre, gre)):
        for cipher in CIPHERS.values() if largest else ():
            found = inner_mtu(
                1500,
                kind.HEADER_BYTES,
                underlay=underlay,
                tunnel_mode=tunnel_mode,
                through_nat=through_nat,
                cipher=cipher,
            )
            assert found == largest


def test_a_cipher_with_blocks_costs_its_alignment() -> None:
    assert inner_mtu(1500, Vxlan.HEADER_BYTES, cipher=CBC_WITH_SHA256) == 1408
    assert inner_mtu(1500, Gre.HEADER_BYTES, cipher=CBC_WITH_SHA256) == 1416


def test_every_cipher_of_a_policy_is_known() -> None:
    assert set(CIPHERS) == set(ENCRYPTION)


def test_default_before_anything_is_agreed() -> None:
    assert default_mtu("192.0.2.11", 1500, Vxlan.HEADER_BYTES) == 1416
    assert default_mtu("2001:db8::11", 1500, Vxlan.HEADER_BYTES) == 1376
