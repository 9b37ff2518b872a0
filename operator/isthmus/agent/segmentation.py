"""Keeps large packets of TCP off our tunnel devices where the kernel would lose them in ESP."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from isthmus.core.node.clamping import Clamp
from isthmus.model.errors import ExternalError
from isthmus.ports import TunnelDevices

_LOG = logging.getLogger(__name__)


class Segmentation:
    """Has packets segmented before they reach a tunnel, if the kernel has ESP offload.

    With it, the kernel leaves segments of TCP together until they are encrypted. Those that a tunnel has put into UDP
    or GRE it cannot take apart any more, and drops: hardly anything but retransmissions crosses.
    """

    def __init__(self, devices: TunnelDevices) -> None:
        self._devices = devices
        self._logged = ""
        self._lossy: frozenset[str] = frozenset()
        """Shared devices by which large packets are lost, as logged."""

    def follow(self, clamps: Iterable[Clamp], shared: frozenset[str] = frozenset()) -> None:
        """See to the devices of these, as far as they exist. What fails is logged, and tried again.

        `shared` are devices that carry our packets, too, and are not ours to change: what they lose is said once.
        """
        names = frozenset(clamp.device for clamp in clamps)
        try:
            self._follow(names, shared)
            self._logged = ""
        except ExternalError as error:
            if str(error) != self._logged:
                _LOG.warning("large packets of tunnels may be dropped by ESP offload: %s", error)
            self._logged = str(error)

    def _follow(self, names: frozenset[str], shared: frozenset[str]) -> None:
        has_offload = bool(names | shared) and self._devices.has_esp_offload()
        if has_offload and names and (large := self._devices.taking_large_packets(names)):
            self._devices.set_segmentation_before(large)
            _LOG.warning(
                "this kernel has ESP offload, which drops large packets of tunnels: segmented before %s",
                ", ".join(sorted(large)),
            )
        lossy = self._devices.taking_large_packets(shared) if has_offload and shared else frozenset[str]()
        if lossy - self._lossy:
            _LOG.warning(
                "this kernel has ESP offload, which drops large packets of tunnels, and %s is left alone because "
                "others' tunnels have it, too: hardly any TCP crosses; agree on VXLAN or Geneve, or unload "
                "esp4_offload",
                ", ".join(sorted(lossy)),
            )
        self._lossy = lossy
