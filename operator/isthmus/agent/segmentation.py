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

    def follow(self, clamps: Iterable[Clamp]) -> None:
        """See to the devices of these, as far as they exist. What fails is logged, and tried again."""
        names = frozenset(clamp.device for clamp in clamps)
        try:
            if names and self._devices.has_esp_offload() and (large := self._devices.taking_large_packets(names)):
                self._devices.set_segmentation_before(large)
                _LOG.warning(
                    "this kernel has ESP offload, which drops large packets of tunnels: segmented before %s",
                    ", ".join(sorted(large)),
                )
            self._logged = ""
        except ExternalError as error:
            if str(error) != self._logged:
                _LOG.warning("large packets of tunnels may be dropped by ESP offload: %s", error)
            self._logged = str(error)
