"""Adds, modifies and deletes meters over the bridge's management socket (OpenFlow 1.5, section 7.3.4.4).

A node has thousands of them, and ovs-ofctl(8) changes one in each process.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.node.flows import BandwidthMeter, Meter, PacketMeter

from .messages import HEADER, messages

T = TypeVar("T")

_VERSION = 6  # OpenFlow 1.5
_HELLO, _ERROR, _ECHO_REQUEST, _ECHO_REPLY, _BARRIER_REQUEST, _BARRIER_REPLY, _METER_MOD = 0, 1, 2, 3, 20, 21, 29
_ADD, _MODIFY, _DELETE = 0, 1, 2
_KILOBITS, _PACKETS, _BURST_AND_STATISTICS = 0b0001, 0b0010, 0b1100  # flags
_MOD = struct.Struct("!HHI")  # command, flags, meter ID
_BAND = struct.Struct("!HHII4x")  # type, length, rate, burst size
_DROP = 1
_FAILURE = struct.Struct("!HH")  # type, code; then the message that failed
_METER_EXISTS = (12, 1)  # OFPET_METER_MOD_FAILED, OFPMMFC_METER_EXISTS
_AT_ONCE = 500  # less than the buffers hold of requests and errors: neither side must wait for the other to read
_TIMEOUT_SECONDS = 15.0


def put(path: Path, meters: Iterable[Meter]) -> None:
    """Add the meters, or modify those that exist. Raises Invalid if one is rejected; others may be there then."""
    wanted = {meter.id: meter for meter in meters}
    if not wanted:
        return
    with _connected(path) as (connection, stream):
        for some in _portions(wanted.values()):
            failures = _send(connection, stream, [_put(_ADD, meter) for meter in some])
            existing = [meter for meter, reason in failures if reason == _METER_EXISTS]
            _require_none(f for f in failures if f[1] != _METER_EXISTS)
            if existing:
                _require_none(_send(connection, stream, [_put(_MODIFY, wanted[meter]) for meter in existing]))


def delete(path: Path, meters: Iterable[int]) -> None:
    """Delete the meters that exist, and with them the flows that use them."""
    wanted = [*meters]
    if not wanted:
        return
    with _connected(path) as (connection, stream):
        for some in _portions(wanted):
            _require_none(_send(connection, stream, [_MOD.pack(_DELETE, 0, meter) for meter in some]))


def _portions(items: Iterable[T]) -> Iterator[list[T]]:
    remaining = iter(items)
    while some := [*islice(remaining, _AT_ONCE)]:
        yield some


def _put(command: int, meter: Meter) -> bytes:
    match meter:
        case PacketMeter(id_, rate, burst):
            unit = _PACKETS
        case BandwidthMeter(id_, rate, burst):
            unit = _KILOBITS
    return _MOD.pack(command, unit | _BURST_AND_STATISTICS, id_) + _BAND.pack(_DROP, _BAND.size, rate, burst)


@contextmanager
def _connected(path: Path) -> Iterator[tuple[socket.socket, Iterator[tuple[int, bytes]]]]:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.settimeout(_TIMEOUT_SECONDS)
            connection.connect(str(path))
            connection.sendall(_message(_HELLO))
            yield connection, messages(connection)
        except OSError as error:
            raise Unavailable(f"Open vSwitch's meters: {error}") from error


def _send(
    connection: socket.socket, stream: Iterator[tuple[int, bytes]], mods: Sequence[bytes]
) -> list[tuple[int, tuple[int, int]]]:
    """Send the modifications and wait for their end; returns the IDs of those that failed, with type and code."""
    connection.sendall(b"".join(_message(_METER_MOD, mod) for mod in mods) + _message(_BARRIER_REQUEST))
    failures: list[tuple[int, tuple[int, int]]] = []
    for kind, body in stream:
        if kind == _BARRIER_REPLY:
            return failures
        if kind == _ECHO_REQUEST:
            connection.sendall(_message(_ECHO_REPLY, body))
        if kind == _ERROR:
            failures.append(_failure(body))
    raise OSError("the connection was closed")


def _failure(body: bytes) -> tuple[int, tuple[int, int]]:
    reason = _FAILURE.unpack_from(body)
    mod = body[_FAILURE.size + HEADER.size :]
    if body[_FAILURE.size + 1 : _FAILURE.size + 2] != bytes([_METER_MOD]) or len(mod) < _MOD.size:
        raise OSError(f"error of type {reason[0]}, code {reason[1]}")
    return _MOD.unpack_from(mod)[2], (reason[0], reason[1])


def _require_none(failures: Iterable[tuple[int, tuple[int, int]]]) -> None:
    for meter, (type_, code) in failures:
        raise Invalid(f"Open vSwitch rejects meter {meter}: error of type {type_}, code {code}")


def _message(kind: int, body: bytes = b"") -> bytes:
    return HEADER.pack(_VERSION, kind, HEADER.size + len(body), 1) + body
