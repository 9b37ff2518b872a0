"""The kernel's devices of our tunnels, by ioctl (netdevice(7))."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
from collections.abc import Mapping
from typing import Final

from isthmus.model.errors import Unavailable

_SIOCGIFINDEX: Final = 0x8933
_IFREQ: Final = struct.Struct("=16si20x")  # struct ifreq: the name, and of a union of 24 bytes the index


class KernelTunnelDevices:
    """`ports.TunnelDevices` for the network namespace of the calling thread."""

    def indexes(self, names: frozenset[str]) -> Mapping[str, int]:
        """One system call for each."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as kernel:
                found = {name: _index(kernel, name) for name in names}
        except OSError as error:
            raise Unavailable(f"interface indexes: {error}") from error
        return {name: index for name, index in found.items() if index is not None}


def _index(kernel: socket.socket, name: str) -> int | None:
    try:
        answer = fcntl.ioctl(kernel, _SIOCGIFINDEX, _IFREQ.pack(name.encode(), 0))
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    index: int = _IFREQ.unpack(answer)[1]
    return index
