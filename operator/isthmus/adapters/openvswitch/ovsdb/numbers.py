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


def read_numbers(bridge: Any) -> Numbers:
    """The numbers on the rows of a bridge and its ports; what is not a number is left out."""
    ids = dict(bridge.external_ids)
    networks = {port.name: _number(port.external_ids, _NETWORK) for port in bridge.ports}
    members = {key.removeprefix(_MEMBER): _number(ids, key) for key in ids if key.startswith(_MEMBER)}
    return Numbers(
        {name: number for name, number in networks.items() if number},
        {name: number for name, number in members.items() if number},
        _number(ids, _LAST_NETWORK),
        _number(ids, _LAST_MEMBER),
    )


def write_numbers(bridge: Any, numbers: Numbers) -> None:
    """Write them within a transaction. Numbers of ports that do not exist any more are left out."""
    for port in bridge.ports:
        if port.name in numbers.networks and OWNER_KEY in port.external_ids:
            _set(port, _NETWORK, numbers.networks[port.name])
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
