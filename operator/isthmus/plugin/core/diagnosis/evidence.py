"""What protects the traffic, as evidence where a layer is fine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from ..inforce import InForce
from ..tunnels import age
from .layers import Layer
from .verdicts import Fine, Verdict

_NAT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "None": "no NAT",
        "Local": "our gateway is behind NAT",
        "Remote": "the peer's gateway is behind NAT",
        "Both": "both gateways are behind NAT",
    }
)


def with_what_is_in_force(verdict: Verdict, layer: Layer, found: InForce, every: Sequence[InForce]) -> Verdict:
    """The verdict on one connection. Ages are the greatest of all connections, so that equal ones read alike."""
    if not isinstance(verdict, Fine) or not found.is_known:
        return verdict
    if layer is Layer.IKE:
        oldest = age(each.ike_age_seconds for each in every)
        return _with(verdict, found.ike_cipher, found.key_exchange, _NAT.get(found.nat, ""), _at_most(oldest))
    if layer is Layer.ESP:
        oldest = age(each.esp_age_seconds for each in every)
        mode = f"{found.esp_mode.lower()} mode" if found.esp_mode else ""
        return _with(verdict, found.encapsulation, mode, found.esp_cipher, _at_most(oldest))
    return verdict


def esp_on_the_wire(found: InForce) -> str:
    """In which packets ESP travels, which whoever looks for what drops it needs to know; empty if that is not known."""
    if not found.nat:
        return ""
    return " (it is IP protocol 50)" if found.nat == "None" else " (for NAT, it is in UDP port 4500)"


def _with(verdict: Fine, *evidence: str) -> Fine:
    known = ", ".join(filter(None, evidence))
    return Fine(f"{verdict.text}: {known}" if known else verdict.text)


def _at_most(oldest: str) -> str:
    return f"at most {oldest} old" if oldest else ""
