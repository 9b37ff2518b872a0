"""Numbered broadcasts of the testbed: what counts as received more than once."""

import struct
from collections import Counter
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, cast

from tests.testbed.node.guest.numbered import parse
from tests.testbed.workload.broadcast import Heard, read

SOURCE, OWN = "10.46.0.7", "10.46.0.9"
OTHER = cast(Any, type("Other", (), {"address": SOURCE}))


def datagram(port: int, payload: bytes, protocol: int = 17) -> bytes:
    addresses = IPv4Address(SOURCE).packed + IPv4Address("10.46.0.255").packed
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, 64, protocol, 0) + addresses
    return header + struct.pack("!HHHH", 5005, port, 8 + len(payload), 0) + payload


def test_only_numbered_broadcasts_are_parsed() -> None:
    number = struct.pack("!Q", 258)
    assert parse(datagram(5005, number)) == f"{SOURCE} 258"
    assert parse(datagram(5005, number + bytes(10))) == f"{SOURCE} 258", "a padded frame"
    assert parse(datagram(68, number)) is None
    assert parse(datagram(5005, number, protocol=6)) is None
    assert parse(datagram(5005, b"")) is None


def test_output_is_read_up_to_the_last_complete_line(tmp_path: Path) -> None:
    log = tmp_path / "numbered.log"
    log.write_text(f"sent 1\nseen {SOURCE} 8\nseen {SOURCE} 9\nsent 2\nseen {SOURCE} 1")
    heard = read(log, "here", OWN)
    assert (heard.sent, heard.last_from(OTHER), heard.more_than_once) == (2, 9, [])


def test_duplicates_and_own_broadcasts_that_come_back_are_named() -> None:
    heard = Heard("here", OWN, 5, Counter({(SOURCE, 1): 1, (SOURCE, 2): 2, (OWN, 3): 1}))
    assert heard.more_than_once == [(SOURCE, 2), (OWN, 3)]
