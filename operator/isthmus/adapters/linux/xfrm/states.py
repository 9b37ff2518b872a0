"""XFRM states as messages. Their keys are never decoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, IPPROTO_AH, IPPROTO_ESP
from typing import Final

from isthmus.model.node.ipsec import SecurityAssociation

from ..netlink import decoded
from .messages import State, StateID

_IPPROTO_COMP: Final = 108  # IPComp, RFC 3173
_PROTOCOLS: Final = {IPPROTO_ESP: "esp", IPPROTO_AH: "ah", _IPPROTO_COMP: "comp"}
_NUMBERS: Final = {name: number for number, name in _PROTOCOLS.items()}
_ADDRESS_BYTES: Final = {AF_INET: 4, AF_INET6: 16}
_FAMILIES: Final = {4: AF_INET, 6: AF_INET6}
_KEYED: Final = frozenset(f"XFRMA_ALG_{kind}" for kind in ("AUTH", "CRYPT", "COMP", "AEAD", "AUTH_TRUNC"))


def associations(dump: Iterable[bytes]) -> Iterator[SecurityAssociation]:
    """The states in a dump that have keys. States of other protocols or address families are foreign and left out."""
    for raw in dump:
        if found := _association(raw):
            yield found


def encoded_id(association: SecurityAssociation) -> StateID:
    """Identifies a state."""
    destination = ip_address(association.destination)
    message = StateID()
    message.update(
        daddr=destination.packed.ljust(16, b"\0"),
        spi=association.spi,
        family=_FAMILIES[destination.version],
        proto=_NUMBERS[association.protocol],
    )
    return message


def _association(raw: bytes) -> SecurityAssociation | None:
    message = decoded(State, raw)
    if message is None or not any(attribute.name in _KEYED for attribute in message["attrs"]):
        return None
    size, protocol = _ADDRESS_BYTES.get(message["id_family"]), _PROTOCOLS.get(message["id_proto"])
    if size is None or protocol is None:
        return None
    source, destination = (str(ip_address(message[end][:size])) for end in ("source", "id_daddr"))
    return SecurityAssociation(source, destination, message["spi"], protocol, message["reqid"])
