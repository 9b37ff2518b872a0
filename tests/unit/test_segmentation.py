"""Large packets are kept off the tunnel devices where the kernel has ESP offload, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from isthmus.adapters.linux.devices import KernelTunnelDevices, has_esp_symbols, is_segmentation
from isthmus.agent.clamping import left_alone, wanted_clamps
from isthmus.agent.segmentation import Segmentation
from isthmus.core.node import ipsec
from isthmus.core.node.clamping import Clamp
from isthmus.core.node.plan import NodePlan
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.errors import Unavailable
from isthmus.model.node.switch import BridgeView, Ports, TunnelPort
from isthmus.model.node.tunnel import Gre, TunnelEnds, Vxlan
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.firewall import FakeTunnelDevices
from tests.fakes.node import FakeNode
from tests.fakes.nodeobjects import peerlink

KIND = Vxlan(14789)
OURS = frozenset({Clamp(KIND.device, 1416)})
SYMBOLS = """\
0000000000000000 T esp_init
0000000000000000 t esp4_gso_segment{}
0000000000000000 t esp4_gso_segment_of_others
"""
# Of a VXLAN device that Linux 6.18 made: what may be changed, of what is on.
FEATURES = {
    "tx-generic-segmentation": True,
    "tx-tcp-segmentation": True,
    "tx-tcp-ecn-segmentation": True,
    "tx-tcp-mangleid-segmentation": True,
    "tx-tcp-accecn-segmentation": True,
    "tx-tcp6-segmentation": True,
    "tx-udp-segmentation": True,
    "tx-sctp-segmentation": True,
    "tx-gso-list": True,
    "tx-scatter-gather": False,
    "tx-scatter-gather-fraglist": False,
    "tx-checksum-ip-generic": False,
    "rx-checksum": False,
    "rx-gro": False,
}


@pytest.fixture
def node() -> FakeNode:
    port = TunnelPort("ist", KIND, TunnelEnds("192.0.2.11", "198.51.100.11"))
    return FakeNode(ports=Ports(frozenset({port})), blocks=ipsec.blocks([KIND]))


def test_nothing_is_changed_without_esp_offload(node: FakeNode) -> None:
    Segmentation(FakeTunnelDevices(node)).follow(OURS)
    assert node.effects == []


def test_our_devices_are_changed_once_and_again_when_they_were_made_again(
    node: FakeNode, caplog: pytest.LogCaptureFixture
) -> None:
    node.has_esp_offload = True
    segmentation = Segmentation(FakeTunnelDevices(node))
    for _ in range(3):
        segmentation.follow(OURS)
    assert node.segmented_devices == {(KIND.device, node.device_index)}
    node.device_index += 1
    for _ in range(3):
        segmentation.follow(OURS)
    assert node.effects == ["set_segmentation_before"] * 2
    assert [message.endswith(KIND.device) for message in caplog.messages] == [True, True]


def test_what_fails_is_said_once_and_tried_again(node: FakeNode, caplog: pytest.LogCaptureFixture) -> None:
    class Refusing(FakeTunnelDevices):
        refuses = True

        def set_segmentation_before(self, names: frozenset[str]) -> None:
            if self.refuses:
                raise Unavailable("features of interfaces: Operation not permitted")
            super().set_segmentation_before(names)

    node.has_esp_offload = True
    devices = Refusing(node)
    segmentation = Segmentation(devices)
    for _ in range(3):
        segmentation.follow(OURS)
    assert len(caplog.messages) == 1
    devices.refuses = False
    segmentation.follow(OURS)
    assert node.effects == ["set_segmentation_before"]


@pytest.mark.parametrize("has_esp_offload", [True, False])
def test_a_shared_device_that_loses_packets_is_named_once_and_left_alone(
    node: FakeNode, caplog: pytest.LogCaptureFixture, has_esp_offload: bool
) -> None:
    gre = TunnelPort("ist", Gre(), TunnelEnds("192.0.2.11", "198.51.100.11"))
    node.ports, node.has_esp_offload = Ports(frozenset({gre})), has_esp_offload
    plan, bridge = NodePlan(ports=node.ports), BridgeView(True, node.ports, gre_is_shared=True)
    assert left_alone(plan, replace(bridge, gre_is_shared=False)) == frozenset()
    segmentation = Segmentation(FakeTunnelDevices(node))
    for _ in range(3):
        segmentation.follow(wanted_clamps(plan, bridge), left_alone(plan, bridge))
    assert node.effects == []
    assert [f"{gre.encapsulation.device} is left alone" in text for text in caplog.messages] == [True] * has_esp_offload
    node.device_index += 1
    segmentation.follow(frozenset(), frozenset())
    segmentation.follow(wanted_clamps(plan, bridge), left_alone(plan, bridge))
    assert len(caplog.messages) == 2 * has_esp_offload, "it was gone meanwhile"


def test_an_agent_names_a_shared_device_that_loses_packets(caplog: pytest.LogCaptureFixture) -> None:
    harness = AgentHarness()
    harness.node.has_esp_offload = True
    document = peerlink().to_wire()
    for spec in (document["spec"], document["status"]["peer"]["spec"]):
        spec["tunnel"] = {"encapsulation": "GRE", "idRange": spec["tunnel"]["idRange"]}
    controller = FakeCluster(harness.store)
    controller.apply(PeerLink.from_wire(document))
    controller.apply_status(PeerLink.from_wire(document))
    harness.node.has_foreign_gre = True
    harness.settle()
    assert sum("gre_sys is left alone" in text for text in caplog.messages) == 1


def test_all_features_are_told_apart() -> None:
    assert {feature: is_segmentation(feature) for feature in FEATURES} == FEATURES


def test_esp_offload_is_found_built_in_and_as_a_module(tmp_path: Path) -> None:
    modules, symbols = tmp_path / "module", tmp_path / "kallsyms"
    devices = KernelTunnelDevices(modules, symbols)
    with pytest.raises(Unavailable):
        devices.has_esp_offload()
    symbols.write_text(SYMBOLS.format("_not"))
    assert not devices.has_esp_offload()
    (modules / "esp4_offload").mkdir(parents=True)
    assert devices.has_esp_offload(), "it was loaded since"
    assert has_esp_symbols(SYMBOLS.format("").splitlines())
    assert has_esp_symbols(SYMBOLS.format("\t[esp4_offload]").splitlines())
    assert not has_esp_symbols(["0000000000000000 T", "", "esp4_gso_segment"])
