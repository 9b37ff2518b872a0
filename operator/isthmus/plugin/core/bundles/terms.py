"""What one cloud tells the other in a bundle: how to read its API, where its gateways are, and what it accepts."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import filterfalse
from typing import Any, Final, Literal

from isthmus.model.kubeconfig import peer_kubeconfig
from isthmus.model.proposals import is_hybrid, proposals_of

from .servers import BadServer, checked

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAX_ITEMS: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]{1,16384}")  # RFC 6750, section 2.1
_PROPOSAL: Final = re.compile(r"[a-z0-9_]+(-[a-z0-9_]+)*")
NEUTRON_TUNNEL_PORTS: Final = frozenset({4789, 6081, 8472})
_MAX_TUNNEL_ID: Final = 0xFFFFFF
EncapsulationName = Literal["VXLAN", "Geneve", "GRE"]
DEFAULT_PORTS: Final[Mapping[EncapsulationName, int | None]] = {"VXLAN": 14789, "Geneve": 16081, "GRE": None}
"""UDP ports of the tunnels of each encapsulation, if no other one is agreed on."""
_DEFAULT: Final = proposals_of(None, None, None)


class BadTerms(ValueError):
    """Which of the other cloud's terms cannot be used, and why."""


@dataclass(frozen=True)
class Tunnel:
    """`spec.tunnel` of a CloudPeer. GRE has no port."""

    port: int | None = DEFAULT_PORTS["VXLAN"]
    first: int = 0x100000
    last: int = 0x10FFFF
    encapsulation: EncapsulationName = "VXLAN"

    def to_document(self) -> dict[str, Any]:
        """As in a CloudPeer."""
        port = {} if self.port is None else {"port": self.port}
        return {"encapsulation": self.encapsulation, **port, "idRange": {"first": self.first, "last": self.last}}

    def __str__(self) -> str:
        port = "" if self.port is None else f" on UDP port {self.port}"
        return f"{self.encapsulation}{port}"


@dataclass(frozen=True)
class Proposals:
    """Proposals of an IPsecPolicy, in strongSwan's notation."""

    ike: tuple[str, ...] = _DEFAULT.ike
    esp: tuple[str, ...] = _DEFAULT.esp


@dataclass(frozen=True)
class Terms:
    """The terms of one cloud. `authority`: the certificates in PEM that its API server's is verified with."""

    server: str
    gateway_cidrs: tuple[str, ...]
    tunnel: Tunnel
    proposals: Proposals
    authority: str = field(repr=False)
    token: str = field(repr=False)

    def to_bytes(self) -> bytes:
        """As JSON, to be sealed."""
        document = {
            "server": self.server,
            "certificateAuthority": self.authority,
            "token": self.token,
            "gatewayCIDRs": self.gateway_cidrs,
            "tunnel": self.tunnel.to_document(),
            # Apart, for earlier releases know neither.
            "hybridProposals": [*filter(is_hybrid, self.proposals.ike)],
            "ikeProposals": [*filterfalse(is_hybrid, self.proposals.ike)],
            "espProposals": self.proposals.esp,
        }
        return json.dumps(document).encode("ascii")

    @classmethod
    def parse(cls, content: bytes) -> Terms:
        """What was sealed. The other cloud's administrators wrote it: nothing is trusted. Raises BadTerms."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            raise BadTerms("are not JSON") from None
        if not isinstance(document, dict):
            raise BadTerms("are not an object")
        return cls(
            server=_server(document),
            authority=_authority(document),
            token=_checked(document, "token", lambda text: bool(_TOKEN.fullmatch(text))),
            gateway_cidrs=_list(document, "gatewayCIDRs", is_cidr),
            tunnel=_tunnel(document.get("tunnel")),
            proposals=Proposals(_ike_proposals(document), _list(document, "espProposals", _is_proposal)),
        )

    def kubeconfig(self, namespace: str) -> str:
        """The kubeconfig by which our controller reads the other cloud's API."""
        document = peer_kubeconfig(namespace, self.server, self.authority, self.token)
        return json.dumps(document, indent=1) + "\n"


def is_cidr(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 network without host bits, in its usual form, with the length of its prefix."""
    try:
        return str(ipaddress.ip_network(text)) == text
    except ValueError:
        return False


def known_encapsulation(value: object) -> EncapsulationName | None:
    """The encapsulation of that name; None if there is none."""
    return next((name for name in DEFAULT_PORTS if name == value), None)


def overlapping(one: tuple[str, ...], other: tuple[str, ...]) -> str | None:
    """The first network of `one` that overlaps one of `other`."""
    networks = [ipaddress.ip_network(cidr) for cidr in other if is_cidr(cidr)]
    return next((cidr for cidr in one if any(overlap(ipaddress.ip_network(cidr), each) for each in networks)), None)


def overlap(one: _Network, other: _Network) -> bool:
    """Whether both have an address in common; never of different IP versions."""
    return one.network_address in other or other.network_address in one


def _server(document: dict[str, Any]) -> str:
    server = _checked(document, "server", bool)
    try:
        checked(server)
    except BadServer as error:
        raise BadTerms(f"have a server that {error}") from None
    return server


def _authority(document: dict[str, Any]) -> str:
    begin = "-----BEGIN CERTIFICATE-----"
    return _checked(document, "certificateAuthority", lambda text: text.isascii() and begin in text)


def _tunnel(value: object) -> Tunnel:
    document = value if isinstance(value, dict) else {}
    id_range = document.get("idRange")
    bounds = id_range if isinstance(id_range, dict) else {}
    encapsulation = known_encapsulation(document.get("encapsulation", "VXLAN"))
    if encapsulation is None:
        raise BadTerms("have an encapsulation of the tunnel that is not known here")
    has_port = DEFAULT_PORTS[encapsulation] is not None
    port = _number(document, "port", 1024, 65535) if has_port else None
    first, last = (_number(bounds, name, 1, _MAX_TUNNEL_ID) for name in ("first", "last"))
    if port in NEUTRON_TUNNEL_PORTS or first >= last or (not has_port and "port" in document):
        raise BadTerms("have a tunnel that no CloudPeer can have")
    return Tunnel(port, first, last, encapsulation)


def _number(document: dict[str, Any], name: str, least: int, most: int) -> int:
    value = document.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadTerms(f"have no usable {name} of the tunnel")
    return value


def _is_proposal(text: str) -> bool:
    return len(text) <= 64 and _PROPOSAL.fullmatch(text) is not None


def _checked(document: dict[str, Any], name: str, is_valid: Callable[[str], bool]) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not is_valid(value):
        raise BadTerms(f"have no usable {name}")
    return value


def _ike_proposals(document: dict[str, Any]) -> tuple[str, ...]:
    """Hybrid ones first. Earlier releases have none, and whoever requires them has no others."""
    if not document.get("hybridProposals"):
        return _list(document, "ikeProposals", _is_proposal)
    hybrid = _list(document, "hybridProposals", _is_proposal)
    return hybrid + (_list(document, "ikeProposals", _is_proposal) if document.get("ikeProposals") else ())


def _list(document: dict[str, Any], name: str, is_valid: Callable[[str], bool]) -> tuple[str, ...]:
    value = document.get(name)
    items = value if isinstance(value, list) else []
    if not 1 <= len(items) <= _MAX_ITEMS or not all(isinstance(item, str) and is_valid(item) for item in items):
        raise BadTerms(f"have no usable {name}")
    return tuple(items)
