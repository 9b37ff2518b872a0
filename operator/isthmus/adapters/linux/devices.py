"""The kernel's devices of our tunnels."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from pyroute2.ethtool.ioctl import EthtoolError, EthtoolFeaturesList, IoctlEthtool, NoSuchDevice

from isthmus.model.errors import Unavailable

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
        found = {}
        for name in names:
            try:
                found[name] = socket.if_nametoindex(name)
            except OSError as error:
                # Python 3.11 has no number in the error for "there is none".
                if error.errno not in (None, errno.ENODEV):
                    raise Unavailable(f"interface indexes: {error}") from error
        return found

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
        found = set()
        for name in names:
            with _device(name) as kernel:
                if any(_active(kernel.get_features())):
                    found.add(name)
        return frozenset(found)

    def set_segmentation_before(self, names: frozenset[str]) -> None:
        """As `ethtool -K` with every kind of segmentation off."""
        for name in sorted(names):
            with _device(name) as kernel:
                features = kernel.get_features()
                for feature in _active(features):
                    features.set_value(feature, value=False)
                kernel.set_features(features)


@contextmanager
def _device(name: str) -> Iterator[IoctlEthtool]:
    """What is done with a device that does not exist ends without an error. Raises Unavailable for others."""
    try:
        with closing(IoctlEthtool(name)) as kernel:
            yield kernel
    except NoSuchDevice:
        return
    except (EthtoolError, OSError) as error:
        # Asked for the number of features, it raises what ioctl(2) does.
        if not isinstance(error, OSError) or error.errno != errno.ENODEV:
            raise Unavailable(f"features of interface {name}: {error}") from error


def _active(features: EthtoolFeaturesList) -> Iterator[str]:
    """The kinds of segmentation that are on and may be switched off."""
    for feature in filter(is_segmentation, features.keys()):
        if features.is_active(feature) and features.is_available(feature) and not features.is_never_changed(feature):
            yield feature


def is_segmentation(feature: str) -> bool:
    """Whether a feature of the kernel's list is about packets that are sent and still to be segmented."""
    return feature.startswith("tx-") and (feature.endswith(_SEGMENTATION) or feature == _LISTS)


def has_esp_symbols(lines: Iterable[str]) -> bool:
    """Whether a table of symbols has the segmentation of ESP: address, type, name, and a module in brackets."""
    return any(name in _SYMBOLS for line in lines for name in line.split()[2:3])
