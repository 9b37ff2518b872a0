"""IPsec on a gateway node: the kernel's policies and states, and what charon has."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from isthmus.model import names


@dataclass(frozen=True)
class BlockPolicy:
    """A static XFRM policy that blocks what must never be unprotected, below charon's priority.

    `direction` is "in" or "out". Exactly one of the others is set: a UDP port of tunnels, or the address of a remote
    gateway that must not be told in the clear that there is no tunnel port, for that message quotes what it refuses.
    """

    direction: str
    source_port: int | None = None
    destination_port: int | None = None
    icmp_unreachable_to: str | None = None


@dataclass(frozen=True)
class SecurityAssociation:
    """An XFRM state of the kernel between two addresses."""

    source: str
    destination: str
    spi: int
    protocol: str
    reqid: int


@dataclass(frozen=True)
class XfrmView:
    """Our block policies that are there, and the states from or to tunnel addresses of ours.

    States without keys (what the kernel keeps while SAs are being negotiated) are left out.
    """

    blocks: frozenset[BlockPolicy]
    associations: frozenset[SecurityAssociation] = frozenset()


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
class IkeState:
    """Live state of one connection in charon."""

    established: bool
    children_installed: frozenset[str] = frozenset()
    """Those of IKE_CHILDREN that were negotiated for what is loaded now."""
    superseded: bool = False
    """There are also SAs that were negotiated for what was loaded before."""
    spis: frozenset[int] = frozenset()
    """Of all its ESP SAs, superseded ones included."""


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
