"""IPsec on a gateway node: the kernel's policies and states, and what charon has."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from isthmus.model import names

Prefix = IPv4Network | IPv6Network


@dataclass(frozen=True)
class Selector:
    """The packets that an XFRM policy applies to; None is any.

    `protocol` is the IP protocol's number. ICMP and ICMPv6 have a type and a code where UDP and TCP have ports.
    Raises ValueError where source and destination are of different IP versions.
    """

    source: Prefix
    destination: Prefix
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None
    icmp_type: int | None = None
    icmp_code: int | None = None

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"{self.source} and {self.destination} are of different IP versions")

    def __str__(self) -> str:
        ends = {"sport": self.source_port, "dport": self.destination_port}
        ends |= {"type": self.icmp_type, "code": self.icmp_code}
        words = [f"{name} {value}" for name, value in ends.items() if value is not None]
        return " ".join([f"src {self.source} dst {self.destination} proto {self.protocol}", *words])


@dataclass(frozen=True)
class BlockPolicy:
    """A static XFRM policy that drops packets which must not pass unprotected, with a priority below charon's."""

    direction: Literal["in", "out"]
    selector: Selector

    def __str__(self) -> str:
        return f"dir {self.direction} {self.selector}"


@dataclass(frozen=True)
class BlockView:
    """Our block policies in the kernel."""

    blocks: frozenset[BlockPolicy] = frozenset()
    outdated: frozenset[BlockPolicy] = frozenset()
    """Those of `blocks` that differ from what this release creates: of another release, or changed by others."""


@dataclass(frozen=True)
class SecurityAssociation:
    """An XFRM state of the kernel between two addresses.

    `protocol` is esp, ah or comp.
    """

    source: str
    destination: str
    spi: int
    protocol: str
    reqid: int


@dataclass(frozen=True)
class ProtectPolicy:
    """An XFRM policy that demands ESP by the SAs of a reqid."""

    direction: Literal["in", "out"]
    reqid: int


@dataclass(frozen=True)
class IkeConnection:
    """One remote gateway for charon: IKEv2, pre-shared key, two ESP transport children (to and from our UDP port).

    The key itself is not here: it travels apart so that a plan can be logged.
    """

    name: str
    local_address: str
    remote_address: str
    local_identity: str
    remote_identity: str
    udp_port: int
    ike_proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    ike_rekey_time_seconds: int
    esp_rekey_time_seconds: int
    dpd_delay_seconds: int
    initiator: bool
    secret_name: str
    secret_version: str = ""
    """Which version of the Secret the key is from, so that a new key is noticed without a trace of the key itself."""

    @property
    def digest(self) -> str:
        """Names this very connection: what charon has loaded under another digest is to be loaded again."""
        return names.digest(*(f"{field.name}={getattr(self, field.name)}" for field in fields(self)), digits=12)


IKE_CHILDREN = frozenset({"out", "in"})
"""Every connection's children: packets to the peer's UDP port, and packets to ours."""


@dataclass(frozen=True)
class IkeChild:
    """A child that charon says is in use: its SAs and its policies must be in the kernel."""

    reqid: int
    """Names the policies that belong to it."""
    spis: frozenset[int]


@dataclass(frozen=True)
class IkeState:
    """Live state of one connection in charon."""

    established: bool
    children_installed: frozenset[str] = frozenset()
    """Those of IKE_CHILDREN that were negotiated for what is loaded now."""
    superseded: bool = False
    """There are also SAs that were negotiated for what was loaded before."""
    spis: frozenset[int] = frozenset()
    """Of all its ESP SAs, superseded ones included."""
    children: frozenset[IkeChild] = frozenset()
    """Those in use, superseded ones included; not those that are about to go, of which the kernel may have less."""


@dataclass(frozen=True)
class IkeView:
    """What charon has: loaded connections, live SAs."""

    instance: str
    """Another one whenever charon may be another one: it was lost sight of."""
    loaded: dict[str, str]
    """Connections of ours that charon has, and the digest of what was loaded; empty for a new charon."""
    states: dict[str, IkeState] = field(default_factory=dict)
    version: str = ""
    authentication_failed: frozenset[str] = frozenset()
    """Connections that have not come up since one side refused the other's key."""
