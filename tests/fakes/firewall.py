"""The nftables of a gateway node in memory, and the tunnel devices that one of the tables is for."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus.model.errors import Unsupported
from isthmus.model.node.firewall import FirewallView, Ruleset
from isthmus.model.node.flows import Traffic

from .node import FakeNode


class FakeFirewall:
    """ports.Firewall."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> FirewallView:
        self._ask()
        installed = self._get()
        return FirewallView(installed, {name: Traffic(0, 0) for name in installed.counters})

    def replace_table(self, ruleset: Ruleset) -> None:
        self._ask()
        self._set(ruleset)
        self._node.changed(f"replace_table{self._suffix}")

    def remove_table(self) -> None:
        self._ask()
        self._set(Ruleset())
        self._node.changed(f"remove_table{self._suffix}")

    _suffix = ""

    def _get(self) -> Ruleset:
        return self._node.firewall

    def _set(self, ruleset: Ruleset) -> None:
        self._node.firewall = ruleset

    def _ask(self) -> None:
        if not self._node.has_nftables:
            raise Unsupported("nft is not installed on this node")


class FakeClampTable(FakeFirewall):
    """The same for the table on tunnel devices."""

    _suffix = " of devices"

    def _get(self) -> Ruleset:
        return self._node.clamps

    def _set(self, ruleset: Ruleset) -> None:
        self._node.clamps = ruleset


class FakeTunnelDevices:
    """ports.TunnelDevices: one for each kind of the tunnel ports that there are."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def indexes(self, names: frozenset[str]) -> Mapping[str, int]:
        existing = {port.encapsulation.device for port in self._node.ports.encapsulating}
        return dict.fromkeys(names & existing, self._node.device_index)

    def has_esp_offload(self) -> bool:
        return self._node.has_esp_offload

    def taking_large_packets(self, names: frozenset[str]) -> frozenset[str]:
        existing = self.indexes(names).items() - self._node.segmented_devices
        return frozenset(name for name, _ in existing)

    def set_segmentation_before(self, names: frozenset[str]) -> None:
        self._node.segmented_devices |= self.indexes(names).items()
        self._node.changed("set_segmentation_before")
