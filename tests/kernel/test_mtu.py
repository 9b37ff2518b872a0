"""The MTU of core.node.mtu matches the kernel's to the byte."""

from dataclasses import replace

import pytest

from isthmus.core.placement.mtu import CIPHERS, inner_mtu
from isthmus.model.node.tunnel import Vxlan
from tests.kernel.node import AGREEMENT, Pair
from tests.kernel.openvswitch import sh
from tests.testbed.wan.wire import Traffic


@pytest.mark.parametrize("underlay_mtu", [1500, 1499, 1450, 1398])
def test_largest_unfragmented_packet(pair: Pair, underlay_mtu: int) -> None:
    largest = inner_mtu(underlay_mtu, Vxlan.HEADER_BYTES)
    for node in pair.nodes:
        sh(f"ip link set eth0 mtu {underlay_mtu}", node.name)
    pair.protect()
    far = pair.tunnels()
    with pair.wire() as wire:
        assert pair.a.ping(far, size=largest).received == 5
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert pair.a.ping(far, size=largest + 1).received == 5
        summary = wire.summary()
        summary.require_protected()
        # Not one per packet: the sender soon knows the path MTU and fragments packets itself.
        assert summary.counts[Traffic.ESP_FRAGMENT] >= 2
        assert pair.a.ping(far, size=largest, fragment=False).received == 5


@pytest.mark.parametrize("cipher", CIPHERS)
def test_every_cipher_costs_what_is_known_of_it(pair: Pair, cipher: str) -> None:
    largest = inner_mtu(1500, Vxlan.HEADER_BYTES, cipher=CIPHERS[cipher])
    pair.protect(replace(AGREEMENT, esp_proposals=(f"{cipher}-ecp384",)))
    far = pair.tunnels()
    with pair.wire() as wire:
        assert pair.a.ping(far, size=largest).received == 5
        summary = wire.summary()
        summary.require_protected()
        assert summary.counts[Traffic.ESP_FRAGMENT] == 0
        assert pair.a.ping(far, size=largest + 1).received == 5
        assert wire.summary().counts[Traffic.ESP_FRAGMENT] >= 2


def test_sender_with_df_receives_the_path_mtu(pair: Pair) -> None:
    pair.protect()
    far = pair.tunnels()
    largest = inner_mtu(1500, Vxlan.HEADER_BYTES)
    pair.a.ping(far, count=1, size=largest + 1, fragment=False)
    refused = pair.a.ping(far, size=largest + 1, fragment=False)
    assert refused.received == 0
    assert refused.mtu == largest == 1416
