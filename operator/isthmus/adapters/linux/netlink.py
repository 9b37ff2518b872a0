"""Requests to the kernel through netlink(7).

Messages are pyroute2's, sockets are not: a pyroute2 0.9 socket needs an event loop and belongs to one thread, sends a
request only when the answer is consumed, and ends a dump at the first message that cannot be decoded.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_DUMP_INTR,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
    nlmsg,
    nlmsgerr,
)
from pyroute2.netlink.exceptions import NetlinkDecodeError

from isthmus.model.errors import Conflict, ExternalError, Forbidden, NotFound, Unavailable

M = TypeVar("M", bound=nlmsg)

HEADER = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence number, port
_TIMEOUT_SECONDS = 5.0
_RECEIVE_BYTES = 1 << 16  # datagrams of a dump have at most 32 KiB
_DUMP_ATTEMPTS = 10
_STRICT_CHECK = 12  # NETLINK_GET_STRICT_CHK, which pyroute2 does not name
_CODE = struct.Struct("=i")
_ERRORS: dict[int, type[ExternalError]] = {
    errno.EEXIST: Conflict,
    errno.ENOENT: NotFound,
    errno.ESRCH: NotFound,
    errno.ENODEV: NotFound,
    errno.EADDRNOTAVAIL: NotFound,
    errno.EPERM: Forbidden,
}


class NetlinkSocket:
    """A netlink socket for a few requests of one thread. `name` of the family is for error messages.

    Every method raises ExternalError: Conflict for EEXIST; NotFound for ENOENT, ESRCH, ENODEV and EADDRNOTAVAIL;
    Forbidden for EPERM; Unavailable for all other errors.
    """

    def __init__(self, family: int, name: str) -> None:
        self._family, self._name = family, name
        self._sequence = 0
        self._interrupted = False
        """Whether the kernel marked any part of a dump, its end included, with NLM_F_DUMP_INTR."""

    def __enter__(self) -> NetlinkSocket:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self._family)
            self._socket.settimeout(_TIMEOUT_SECONDS)
            self._socket.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        except OSError as error:
            lacking = ", the kernel lacks it: load its module" if error.errno == errno.EPROTONOSUPPORT else ""
            raise Unavailable(f"{self._name}: {error}{lacking}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def filter_dumps(self) -> None:
        """Have the kernel return of a dump only what the request describes (NETLINK_GET_STRICT_CHK)."""
        try:
            self._socket.setsockopt(SOL_NETLINK, _STRICT_CHECK, 1)
        except OSError as error:
            raise Unavailable(f"{self._name}: {error}") from error

    def dump(self, kind: int, message: nlmsg) -> list[bytes]:
        """All objects that a dump request of this type and message returns: messages with header, not decoded.

        A dump that the kernel calls interrupted may lack objects that were there all the time: it is repeated, and
        Unavailable if all attempts are interrupted.
        """
        for _ in range(_DUMP_ATTEMPTS):
            self._interrupted = False
            found = self._ask([self._encoded(kind, message, NLM_F_DUMP)])
            if not self._interrupted:
                return found
        raise Unavailable(f"{self._name}: objects changed during each of {_DUMP_ATTEMPTS} dumps")

    def get(self, kind: int, message: nlmsg) -> bytes:
        """The one object that a request returns: a message with header, not decoded."""
        return self._ask([self._encoded(kind, message, NLM_F_ACK)])[0]

    def change(self, *commands: tuple[int, nlmsg, int]) -> None:
        """Send commands of (type, message, flags) in one datagram: XFRM executes them without any other in between.

        Raises the first error; commands after the failed one are executed nevertheless.
        """
        self._ask([self._encoded(kind, message, flags | NLM_F_ACK) for kind, message, flags in commands])

    def _encoded(self, kind: int, message: nlmsg, flags: int) -> bytes:
        self._sequence += 1
        header = {"type": kind, "flags": flags | NLM_F_REQUEST, "sequence_number": self._sequence, "pid": 0}
        message["header"].update(header)
        message.reset()
        message.encode()
        return bytes(message.data)

    def _ask(self, requests: list[bytes]) -> list[bytes]:
        """Send the requests that were encoded last; all answers up to each one's acknowledgement or end of dump."""
        waiting = set(range(self._sequence - len(requests) + 1, self._sequence + 1))
        found: list[bytes] = []
        failure: ExternalError | None = None
        try:
            self._socket.send(b"".join(requests))
            while waiting:
                for answer in split(self._socket.recv(_RECEIVE_BYTES)):
                    _, kind, flags, sequence, _ = HEADER.unpack_from(answer)
                    if sequence not in waiting:
                        continue
                    self._interrupted |= bool(flags & NLM_F_DUMP_INTR)
                    if kind not in (NLMSG_DONE, NLMSG_ERROR):
                        found.append(answer)
                        continue
                    waiting.remove(sequence)
                    failure = failure or self._failure(answer)
        except OSError as error:
            raise Unavailable(f"{self._name}: {error}") from error
        if failure is not None:
            raise failure
        return found

    def _failure(self, answer: bytes) -> ExternalError | None:
        """The error in an acknowledgement or in the end of a dump."""
        code = -_CODE.unpack_from(answer, HEADER.size)[0] if len(answer) >= HEADER.size + _CODE.size else 0
        if code <= 0:
            return None
        return _ERRORS.get(code, Unavailable)(f"{self._name}: {os.strerror(code)}{_hint(answer)}")


def decoded(kind: type[M], raw: bytes) -> M | None:
    """Decode a message with header; None if it is malformed."""
    message: M = kind(raw)
    try:
        message.decode()
    except (NetlinkDecodeError, struct.error):
        return None
    return message


def split(datagram: bytes) -> Iterator[bytes]:
    """The messages in a datagram, up to the first malformed one."""
    offset = 0
    while offset + HEADER.size <= len(datagram):
        length = HEADER.unpack_from(datagram, offset)[0]
        if not HEADER.size <= length <= len(datagram) - offset:
            return
        yield datagram[offset : offset + length]
        offset += length + 3 & ~3


def _hint(answer: bytes) -> str:
    """The kernel's explanation of an error (NLMSGERR_ATTR_MSG)."""
    message = nlmsgerr(answer)
    message.decode()
    text = message.get_attr("NLMSGERR_ATTR_MSG")
    return f" ({text})" if text else ""
