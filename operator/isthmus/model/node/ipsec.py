"""IPsec on a gateway node: the kernel's policies and states, and what charon has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cached_property, lru_cache
from ipaddress import ip_network
from typing import Any, Literal

from isthmus.model import names

from .inforce import InForce
from .traffic import Selector, Traffic
from .tunnel import Encapsulation, TunnelEnds


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


OWN_REQIDS = 1 << 31
"""The least reqid of ours."""


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

    @property
    def addresses(self) -> frozenset[str]:
        """Both, whatever the direction."""
        return frozenset({self.source, self.destination})


@dataclass(frozen=True)
class ProtectPolicy:
    """An XFRM policy that demands ESP by the SAs of a reqid."""

    direction: Literal["in", "out"]
    reqid: int


@dataclass(frozen=True)
class IkeEnds:
    """Both ends of an IKE SA; the identities are FQDNs (RFC 7296, 3.5)."""

    local_address: str
    remote_address: str
    local_identity: str
    remote_identity: str

    @property
    def addresses(self) -> frozenset[str]:
        """Both, as of the SAs in either direction."""
        return frozenset({self.local_address, self.remote_address})


@dataclass(frozen=True)
class Child:
    """A pair of ESP SAs: what this node sends, and the same with both ends exchanged."""

    name: str
    mode: Literal["transport", "tunnel"]
    sent: Selector
    reqid: int
    """Names its policies and SAs in the kernel. It depends on nothing that a new charon would have to remember: a
    policy by which that replaces one of its predecessor's still finds the predecessor's SAs."""


@dataclass(frozen=True)
class EspTransport:
    """ESP in transport mode: the outer packets of an encapsulation between the ends of the IKE SA."""

    encapsulation: Encapsulation

    def tunnel_ends(self, ends: IkeEnds) -> TunnelEnds:
        """Where the packets of the encapsulation begin and end."""
        return TunnelEnds(ends.local_address, ends.remote_address)

    def children(self, ends: IkeEnds) -> tuple[Child, ...]:
        return _children("transport", self.encapsulation, self.tunnel_ends(ends))


@dataclass(frozen=True)
class EspTunnel:
    """ESP in tunnel mode: the packets of an encapsulation between addresses that mean this pair of gateways alone.

    Whatever a NAT makes of the gateways' own addresses, the packets inside stay as both expect them.
    """

    encapsulation: Encapsulation
    inner: TunnelEnds

    def tunnel_ends(self, ends: IkeEnds) -> TunnelEnds:
        """Where the packets of the encapsulation begin and end."""
        return self.inner

    def children(self, ends: IkeEnds) -> tuple[Child, ...]:
        return _children("tunnel", self.encapsulation, self.inner)


def _children(
    mode: Literal["transport", "tunnel"], encapsulation: Encapsulation, ends: TunnelEnds
) -> tuple[Child, ...]:
    source, destination = ip_network(ends.local), ip_network(ends.remote)
    return tuple(
        Child(name, mode, Selector(source, destination, traffic), _reqid(ends, name, traffic))
        for name, traffic in encapsulation.sent.items()
    )


@lru_cache(maxsize=4096)  # for each tunnel of a node, at each observation
def reqids(encapsulation: Encapsulation, ends: TunnelEnds) -> frozenset[int]:
    """Those of the children that protect a tunnel, in either mode."""
    return frozenset(_reqid(ends, name, traffic) for name, traffic in encapsulation.sent.items())


def _reqid(ends: TunnelEnds, child: str, traffic: Traffic) -> int:
    """Greater than any that charon counts up to for others: it begins with 1."""
    return OWN_REQIDS | int(names.digest(ends.local, ends.remote, child, str(traffic), digits=7), 16)


Protection = EspTransport | EspTunnel
"""All ways of protecting a tunnel."""


@dataclass(frozen=True)
class PreSharedKeyRef:
    """A Secret with a pre-shared key. The key itself is not here: it travels apart so that a plan can be logged."""

    secret_name: str
    secret_version: str = ""
    """Which version of the Secret the key is from, so that a new key is noticed without a trace of the key itself."""


@dataclass(frozen=True)
class CertificateRef:
    """A Secret with certificates, for one end of a connection or for both. Its content travels apart as well."""

    secret_name: str
    certificate: str
    """Fingerprint of this node's certificate; empty: it authenticates itself by the pre-shared key."""
    authorities: str
    """Digest of the CAs that the peer's certificate must be from; empty: it authenticates itself by the key."""
    revoked: str = ""
    """Digest of all that these CAs have revoked: the peer is to be authenticated again when that changes."""
    secret_version: str = ""
    """As for a pre-shared key, if one end uses it."""


Credential = PreSharedKeyRef | CertificateRef
"""All credentials of an IKE connection."""


@dataclass(frozen=True)
class CertificateChain:
    """What charon needs for a connection with certificates, each in PEM; parts that it does not need are empty."""

    certificate: bytes = b""
    private_key: bytes = field(default=b"", repr=False)
    authorities: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class IkeConnection:
    """One remote gateway for charon (IKEv2)."""

    name: str
    ends: IkeEnds
    protection: Protection
    ike_proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    ike_rekey_time_seconds: int
    esp_rekey_time_seconds: int
    dpd_delay_seconds: int
    initiator: bool
    credential: Credential
    ike_margin_seconds: int | None = None
    esp_margin_seconds: int | None = None
    """None: charon's own, a tenth of the rekeying time."""
    replay_window_packets: int = 1024
    passive: bool = False
    """The remote gateway cannot be reached: it alone opens IKE SAs."""
    remote_port: int | None = None
    """UDP port of the remote address behind which the gateway's UDP port 4500 is; None: IKE begins on port 500."""
    remote_networks: tuple[str, ...] = ()
    """Networks from which the remote gateway's packets may come as well, if a NAT sends them."""

    @property
    def tunnel_ends(self) -> TunnelEnds:
        """Where the packets of the encapsulation begin and end."""
        return self.protection.tunnel_ends(self.ends)

    @cached_property
    def children(self) -> tuple[Child, ...]:
        return self.protection.children(self.ends)

    @cached_property
    def digest(self) -> str:
        """Names this very connection: what charon has loaded under another digest is to be loaded again.

        An upgrade that changes the digests has all SAs negotiated again. Where a field is one of several variants, the
        names of its own fields say which. A field with its default is left out: a release that adds one with what all
        releases before it did leaves the SAs as they are.
        """
        return names.digest(*_settings(self), digits=12)


def _settings(value: Any) -> Iterator[str]:
    """`field=value` of all fields, in the place of a nested dataclass that of its own."""
    for item in fields(value):
        content = getattr(value, item.name)
        if is_dataclass(content):
            yield from _settings(content)
        elif content != item.default:
            yield f"{item.name}={content}"


@dataclass(frozen=True)
class IkeChild:
    """A child that charon says is in use: its SAs and its policies must be in the kernel."""

    reqid: int
    """Names the policies that belong to it."""
    spis: frozenset[int]


@dataclass(frozen=True)
class NarrowedChild:
    """A child whose traffic selectors the peer has narrowed (RFC 7296, 2.9): what is outside of them is dropped."""

    name: str
    configured: str
    """Local and remote selector as charon writes them."""
    negotiated: str


@dataclass(frozen=True)
class IkeAssociation:
    """One of a connection's IKE SAs, established."""

    number: int
    """Charon's own, which grows: that of a newer IKE SA is greater."""
    initiated: bool
    """By this node."""
    children: frozenset[str] = frozenset()
    """Names of its children that carry traffic and were negotiated for what is loaded now."""
    busy: bool = field(default=False, compare=False)
    """Charon is negotiating something in it."""
    duplicates: frozenset[int] = field(default=frozenset(), compare=False)
    """Charon's numbers of children of which it has later ones of the same name that do not replace them."""


@dataclass(frozen=True)
class IkeState:
    """Live state of one connection in charon."""

    established: bool
    children_installed: frozenset[str] = frozenset()
    """Names of the children that were negotiated for what is loaded now."""
    superseded: bool = False
    """There are also SAs that were negotiated for what was loaded before."""
    spis: frozenset[int] = frozenset()
    """Of all its ESP SAs, superseded ones included."""
    children: frozenset[IkeChild] = frozenset()
    """Those in use, superseded ones included; not those that are about to go, of which the kernel may have less."""
    narrowed: frozenset[NarrowedChild] = frozenset()
    """Those of `children_installed` that do not protect all that they must."""
    associations: tuple[IkeAssociation, ...] = field(default=(), compare=False)
    """Established IKE SAs, oldest first, without those that have children of what was loaded before."""
    key_exchange: str = ""
    """Of its IKE SA, as proposals have it: ecp384, or ecp384-ke1_mlkem768; one without an additional key exchange if
    it has several IKE SAs, and any of them is without. Empty if it has none."""
    in_force: InForce = field(default_factory=InForce)
    packets_in: int = field(default=0, compare=False)
    """ESP packets that its SAs have accepted, superseded ones included; less than before when an SA ends."""


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
    ike_packets: Mapping[str, int] = field(default_factory=dict, compare=False)
    """IKE packets received since the session began, by remote address of a loaded connection, from charon's log."""
    revoked: frozenset[str] = frozenset()
    """Connections that have not come up since the peer's certificate was found to be revoked."""
    apart_from: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By connection, the newest IKE SA that it had when it was loaded: what is initiated does not join that or older
    ones. Missing if it had none."""
    key_exchanges: frozenset[str] | None = None
    """Which of those that a proposal may name (`proposals.KEY_EXCHANGES`) this charon can do; None: not known."""
