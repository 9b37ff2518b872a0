"""The numbers of networks and members: external_ids of our patch ports and of br-cloud."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isthmus.model.names import OWNER_KEY
from isthmus.model.node.numbers import Numbers

_NETWORK = f"{OWNER_KEY}-network"  # on the row of a patch port
_MEMBER = f"{OWNER_KEY}-member-"  # and a cloud ID, on the row of the bridge
_LAST_NETWORK = f"{OWNER_KEY}-last-network"
_LAST_MEMBER = f"{OWNER_KEY}-last-member"


def network_number(external_ids: Mapping[str, str]) -> int:
    """The number of a port's network; 0 if it has none."""
    return _number(external_ids, _NETWORK)


def read_numbers(bridge: Any, networks: Mapping[str, int]) -> Numbers:
    """The numbers on the row of a bridge, and those of networks. What is not a number is left out."""
    ids = dict(bridge.external_ids)
    members = {key.removeprefix(_MEMBER): _number(ids, key) for key in ids if key.startswith(_MEMBER)}
    return Numbers(
        networks,
        {name: number for name, number in members.items() if number},
        _number(ids, _LAST_NETWORK),
        _number(ids, _LAST_MEMBER),
    )


def write_network_number(port: Any, number: int) -> None:
    """Write the number of a port's network within a transaction."""
    _set(port, _NETWORK, number)


def write_numbers(bridge: Any, numbers: Numbers) -> None:
    """Write all but those of networks within a transaction."""
    members = {f"{_MEMBER}{name}": number for name, number in numbers.members.items()}
    for key in [key for key in bridge.external_ids if key.startswith(_MEMBER) and key not in members]:
        bridge.delkey("external_ids", key)
    for key, number in members.items():
        _set(bridge, key, number)
    _set(bridge, _LAST_NETWORK, numbers.last_network)
    _set(bridge, _LAST_MEMBER, numbers.last_member)


def _number(ids: Mapping[str, str], key: str) -> int:
    text = ids.get(key, "")
    return int(text) if text.isascii() and text.isdecimal() else 0


def _set(row: Any, key: str, number: int) -> None:
    if row.external_ids.get(key) != str(number):
        row.setkey("external_ids", key, str(number))
