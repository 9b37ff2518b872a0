"""Charon's log is read within bounds, however fast somebody makes it grow by packets to UDP port 500."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import pytest
from vici import Session
from vici.protocol import Message, Packet

from isthmus.adapters.strongswan.authentication import AuthenticationFailures

_MAX_SECONDS = 0.5  # the bound is 0.1 s; the machine may be busy
_REFUSED = {"ikesa-name": "istpeer", "msg": "received AUTHENTICATION_FAILED notify error"}
_NOISE = {"group": "NET", "msg": "received packet: from 203.0.113.9[500] to 192.0.2.11[500] (264 bytes)"}


def _frame(payload: bytes) -> bytes:
    return struct.pack("!I", len(payload)) + payload


def _event(values: dict[str, str]) -> bytes:
    return _frame(struct.pack("!BB", Packet.EVENT, 3) + b"log" + Message.serialize(values))


def _charon(connection: socket.socket, first: dict[str, str], noise: bool) -> None:
    """Confirm the registration, and log without a pause."""
    (length,) = struct.unpack("!I", connection.recv(4))
    connection.recv(length)
    connection.sendall(_frame(struct.pack("!B", Packet.EVENT_CONFIRM)) + _event(first))
    with suppress(OSError):
        while noise:
            connection.sendall(_event(_NOISE) * 100)
    connection.recv(1)


class Charons:
    """Opens sessions, each with a process of its own at the other end."""

    def __init__(self) -> None:
        self.noise = True
        self.opened = 0
        self._processes: list[BaseProcess] = []

    def open(self) -> Session:
        ours, theirs = socket.socketpair()
        self.opened += 1
        process = get_context("fork").Process(target=_charon, args=(theirs, _REFUSED, self.noise))
        process.start()
        theirs.close()
        self._processes.append(process)
        return Session(ours)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.join()


@pytest.fixture
def charons() -> Iterator[Charons]:
    charons = Charons()
    yield charons
    charons.end()


def test_reading_the_log_ends_under_a_flood(charons: Charons) -> None:
    now = [0.0]
    failures = AuthenticationFailures(charons.open, lambda: now[0] + time.monotonic())
    for _ in range(10):
        began = time.monotonic()
        assert failures.read() == {"istpeer"}, "what was known stays known"
        assert time.monotonic() - began < _MAX_SECONDS
    assert charons.opened == 1, "charon's queue is dropped, and not filled again at once"
    now[0] += 31
    charons.noise = False
    failures.forget("istpeer")
    assert failures.read() == {"istpeer"}, "the log is read again later"
    assert charons.opened == 2


def test_only_packets_of_known_gateways_are_kept(charons: Charons) -> None:
    failures = AuthenticationFailures(charons.open, lambda: 0.0)  # time to read, however busy the machine
    failures.read()
    assert failures.packets(frozenset({"203.0.113.9", "192.0.2.1"}))["203.0.113.9"] > 0
    assert failures.packets(frozenset({"192.0.2.1"})) == {"192.0.2.1": 0}
    assert failures.packets(frozenset({"203.0.113.9"})) == {"203.0.113.9": 0}
    charons.end()  # whoever ends to listen waits until charon confirms it, which this one never does


def test_a_charon_that_ends_is_noticed(charons: Charons) -> None:
    charons.noise = False
    failures = AuthenticationFailures(charons.open, lambda: 0.0)  # time to read all, however busy the machine
    charons.end()
    with pytest.raises(ConnectionError):
        failures.read()
