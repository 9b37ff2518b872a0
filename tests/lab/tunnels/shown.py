"""What `kubectl isthmus` says in one cloud of the tunnel to the other one."""

from __future__ import annotations

import json
import re
import tempfile
import time
from dataclasses import dataclass
from typing import Final

from tests.testbed.install.installation import Installation

_GAP: Final = re.compile(r"\s{2,}")
_POLL_SECONDS: Final = 0.5
_AGE: Final = re.compile(r"\d+ (s|min|h)")


@dataclass(frozen=True)
class Tunnel:
    """A tunnel as the line of `status` has it, without its ages."""

    encapsulation: str
    mode: str
    nat: str
    mtu: int
    esp_cipher: str = "aes256gcm16"
    key_exchange: str = "ecp384"


def status(side: Installation) -> str:
    """The text of `status`. Raises RuntimeError if anything is wrong in the cloud."""
    with tempfile.TemporaryDirectory() as directory:
        return side.isthmus("status", directory=directory)


def wait_shown(side: Installation, wanted: Tunnel, timeout_seconds: float = 60) -> None:
    """Wait until all is well in a cloud, and `status` has this tunnel, with its ages."""
    ends_at = time.monotonic() + timeout_seconds
    while (said := status_or_error(side)) and _tunnel(said) != wanted:
        if time.monotonic() > ends_at:
            raise AssertionError(f"{wanted} is not shown in cloud {side.cloud.name}:\n{said}")
        time.sleep(_POLL_SECONDS)


def status_or_error(side: Installation) -> str:
    """The text of `status`, or how it failed."""
    try:
        return status(side)
    except RuntimeError as error:
        return str(error)


def _tunnel(said: str) -> Tunnel | None:
    """The only tunnel; None if it is not complete."""
    lines = said.splitlines()
    at = next((number for number, line in enumerate(lines) if line.startswith("PEER") and "TUNNEL" in line), None)
    if at is None:
        return None
    row = dict(zip(_GAP.split(lines[at]), _GAP.split(lines[at + 1]), strict=True))
    if not row["MTU"].isdecimal() or not all(_AGE.fullmatch(row[age]) for age in ("IKE-AGE", "ESP-AGE")):
        return None
    return Tunnel(row["TUNNEL"], row["MODE"], row["NAT"], int(row["MTU"]), row["ESP-CIPHER"], row["KEY-EXCHANGE"])


def evidence(side: Installation, peer: str) -> dict[str, str]:
    """What `diagnose` says of each layer. Raises RuntimeError if any of them is not well."""
    with tempfile.TemporaryDirectory() as directory:
        found = json.loads(side.isthmus("diagnose", peer, "-o", "json", directory=directory))
    (subject,) = found["subjects"]
    return {layer["layer"]: layer["text"] for layer in subject["layers"]}
