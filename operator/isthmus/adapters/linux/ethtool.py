"""Features of network interfaces, by ioctl SIOCETHTOOL (linux/ethtool.h); indexes by SIOCGIFINDEX (netdevice(7))."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from types import TracebackType
from typing import Final

_SIOCGIFINDEX: Final = 0x8933
_SIOCETHTOOL: Final = 0x8946
_INDEX: Final = struct.Struct("=16si20x")  # struct ifreq: the name, and of a union of 24 bytes the index
_DATA: Final = struct.Struct("@16sP16x")  # the same with a pointer
_GET_STRINGS, _GET_SET_INFO, _GET_FEATURES, _SET_FEATURES = 0x1B, 0x37, 0x3A, 0x3B
_FEATURES: Final = 4  # ETH_SS_FEATURES, the set of features' names
_NAME_BYTES: Final = 32  # ETH_GSTRING_LEN
_SET_INFO: Final = struct.Struct("=IIQI")  # command, reserved, mask of sets, length of the set
_STRINGS: Final = struct.Struct("=III")  # command, set, length
_HEAD: Final = struct.Struct("=II")  # command, blocks of 32 features
_GET: Final = struct.Struct("=IIII")  # available, requested, active, never changed
_SET: Final = struct.Struct("=II")  # valid, requested
_BLOCK: Final = 32


class Ethtool:
    """A socket for questions about interfaces of the calling thread's network namespace. Raises OSError."""

    def __enter__(self) -> Ethtool:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def index(self, interface: str) -> int | None:
        """The interface's index; None if there is none of that name."""
        try:
            answer = fcntl.ioctl(self._socket, _SIOCGIFINDEX, _INDEX.pack(interface.encode(), 0))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return None
            raise
        index: int = _INDEX.unpack(answer)[1]
        return index

    def changeable(self, interface: str) -> frozenset[str]:
        """The names of the features that are on and may be switched off; none if the interface is gone."""
        names = self._names(interface)
        blocks = -(-len(names) // _BLOCK)
        request = bytearray(_HEAD.pack(_GET_FEATURES, blocks) + bytes(blocks * _GET.size))
        if not names or not self._ask(interface, request):
            return frozenset()
        on = [
            available & active & ~never_changed
            for available, _, active, never_changed in _GET.iter_unpack(request[_HEAD.size :])
        ]
        return frozenset(name for bit, name in enumerate(names) if on[bit // _BLOCK] >> bit % _BLOCK & 1)

    def switch_off(self, interface: str, features: frozenset[str]) -> None:
        """Switch these features off, and no others; nothing if the interface is gone."""
        names = self._names(interface)
        blocks = [0] * -(-len(names) // _BLOCK)
        for bit, name in enumerate(names):
            blocks[bit // _BLOCK] |= (name in features) << bit % _BLOCK
        change = b"".join(_SET.pack(valid, 0) for valid in blocks)
        self._ask(interface, bytearray(_HEAD.pack(_SET_FEATURES, len(blocks)) + change))

    def _names(self, interface: str) -> list[str]:
        """Of all features that the kernel knows, in the order of their bits."""
        info = bytearray(_SET_INFO.pack(_GET_SET_INFO, 0, 1 << _FEATURES, 0))
        if not self._ask(interface, info):
            return []
        count = _SET_INFO.unpack(info)[3]
        request = bytearray(_STRINGS.pack(_GET_STRINGS, _FEATURES, count) + bytes(count * _NAME_BYTES))
        if not self._ask(interface, request):
            return []
        texts = (request[start : start + _NAME_BYTES] for start in range(_STRINGS.size, len(request), _NAME_BYTES))
        return [bytes(text).split(b"\0")[0].decode() for text in texts]

    def _ask(self, interface: str, request: bytearray) -> bool:
        """Have the kernel write its answer into the request; whether there is such an interface."""
        buffer = (ctypes.c_char * len(request)).from_buffer(request)
        try:
            fcntl.ioctl(self._socket, _SIOCETHTOOL, _DATA.pack(interface.encode(), ctypes.addressof(buffer)))
        except OSError as error:
            if error.errno == errno.ENODEV:
                return False
            raise
        return True
