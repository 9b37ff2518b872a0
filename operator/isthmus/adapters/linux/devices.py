"""The kernel's devices of our tunnels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from isthmus.model.errors import Unavailable

from .ethtool import Ethtool

_MODULES: Final = ("esp4_offload", "esp6_offload")
_SYMBOLS: Final = frozenset({"esp4_gso_segment", "esp6_gso_segment"})
_SEGMENTATION: Final = "segmentation"
_LISTS: Final = "tx-gso-list"


class KernelTunnelDevices:
    """`ports.TunnelDevices` for the network namespace of the calling thread."""

    def __init__(self, sys_module: Path = Path("/sys/module"), symbols: Path = Path("/proc/kallsyms")) -> None:
        self._modules = tuple(sys_module / name for name in _MODULES)
        self._symbols = symbols
        self._is_built_in: bool | None = None

    def indexes(self, names: frozenset[str]) -> Mapping[str, int]:
        """One system call for each."""
        try:
            with Ethtool() as kernel:
                found = {name: kernel.index(name) for name in names}
        except OSError as error:
            raise Unavailable(f"interface indexes: {error}") from error
        return {name: index for name, index in found.items() if index is not None}

    def has_esp_offload(self) -> bool:
        """A module may come at any time; what is built in is in the kernel's table of symbols, which is read once."""
        if any(module.exists() for module in self._modules):
            return True
        if self._is_built_in is None:
            try:
                with self._symbols.open() as lines:
                    self._is_built_in = has_esp_symbols(lines)
            except OSError as error:
                raise Unavailable(f"{self._symbols}: {error}") from error
        return self._is_built_in

    def taking_large_packets(self, names: frozenset[str]) -> frozenset[str]:
        """By the features of ethtool(8) that are on."""
        try:
            with Ethtool() as kernel:
                return frozenset(name for name in names if any(map(is_segmentation, kernel.changeable(name))))
        except OSError as error:
            raise Unavailable(f"features of interfaces: {error}") from error

    def set_segmentation_before(self, names: frozenset[str]) -> None:
        """As `ethtool -K` with every kind of segmentation off."""
        try:
            with Ethtool() as kernel:
                for name in sorted(names):
                    kernel.switch_off(name, frozenset(filter(is_segmentation, kernel.changeable(name))))
        except OSError as error:
            raise Unavailable(f"features of interfaces: {error}") from error


def is_segmentation(feature: str) -> bool:
    """Whether a feature of the kernel's list is about packets that are sent and still to be segmented."""
    return feature.startswith("tx-") and (feature.endswith(_SEGMENTATION) or feature == _LISTS)


def has_esp_symbols(lines: Iterable[str]) -> bool:
    """Whether a table of symbols has the segmentation of ESP: address, type, name, and a module in brackets."""
    return any(name in _SYMBOLS for line in lines for name in line.split()[2:3])
