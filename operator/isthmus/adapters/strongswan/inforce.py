"""What is in force, from the answer to `list-sas`.

Its fields: https://github.com/strongswan/strongswan/blob/5.9.8/src/libcharon/plugins/vici/README.md, which are the same
in strongSwan 6.1. Names of algorithms are those of IANA's registry as libstrongswan shortens them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from isthmus.model.node.inforce import EspMode, InForce, Nat
from isthmus.model.node.ipsec import IkeView

from .messages import IN_USE, KEYS_AGREED, Message

_WORDS: Final = {
    "AES_GCM_16-256": "aes256gcm16",
    "CHACHA20_POLY1305": "chacha20poly1305",
    "CHACHA20_POLY1305-256": "chacha20poly1305",
    "PRF_HMAC_SHA2_256": "prfsha256",
    "PRF_HMAC_SHA2_384": "prfsha384",
    "PRF_HMAC_SHA2_512": "prfsha512",
}
_MODES: Final[Mapping[str, EspMode]] = {"TRANSPORT": "Transport", "TUNNEL": "Tunnel"}
_NAT: Final[Mapping[tuple[bool, bool], Nat]] = {
    (False, False): "None", (True, False): "Local", (False, True): "Remote", (True, True): "Both",
}  # fmt: skip


def with_what_is_in_force(view: IkeView, sas: Iterable[Message], now: datetime) -> IkeView:
    """The view, with what is in force of each connection, from the answer to `list-sas` that was given `now`."""
    by_name: dict[str, list[Message]] = {}
    for name, sa in (item for answer in sas for item in answer.items()):
        by_name.setdefault(name, []).append(sa)
    states = {name: replace(s, in_force=in_force(by_name.get(name, ()), now)) for name, s in view.states.items()}
    return replace(view, states=states)


def in_force(sas: Iterable[Message], now: datetime) -> InForce:
    """Of the IKE SAs of one connection."""
    agreed = sorted((sa for sa in sas if sa["state"] in KEYS_AGREED), key=lambda sa: int(sa["uniqueid"]))
    if not agreed:
        return InForce()
    oldest = agreed[0]
    found = InForce(
        ike_sa=int(oldest["uniqueid"]),
        ike_cipher=_cipher(oldest, "prf-alg"),
        nat=_NAT[oldest.get("nat-local") == b"yes", oldest.get("nat-remote") == b"yes"],
        ike_since=_since(oldest, "established", now),
    )
    children = [child for sa in agreed for child in sa["child-sas"].values() if child["state"].decode() in IN_USE]
    if not children:
        return found
    child = max(children, key=lambda child: int(child.get("install-time", 0)))
    return replace(
        found,
        esp_cipher=_cipher(child),
        esp_mode=_MODES.get(_text(child, "mode")),
        esp_since=_since(child, "install-time", now),
    )


def _cipher(sa: Message, *more: str) -> str:
    """Cipher, integrity algorithm if the cipher needs one, and `more`, in the words of proposals."""
    return "-".join(_words(sa, *more))


def _words(sa: Message, *more: str) -> Iterator[str]:
    for name, size in (("encr-alg", "encr-keysize"), ("integ-alg", "integ-keysize"), *((field, "") for field in more)):
        if algorithm := _text(sa, name):
            full = "-".join(filter(None, (algorithm, _text(sa, size))))
            yield _WORDS.get(full, full.lower())


def _since(sa: Message, field: str, now: datetime) -> datetime | None:
    """So many whole seconds before now; None if charon does not say it."""
    age = _text(sa, field)
    return (now - timedelta(seconds=int(age))).replace(microsecond=0) if age.isdecimal() else None


def _text(sa: Message, field: str) -> str:
    return (sa.get(field) or b"").decode(errors="replace")
