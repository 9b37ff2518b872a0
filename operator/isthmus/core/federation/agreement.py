"""The agreement that follows from both PeerLinks: both clouds compute the same by the same pure function."""

from __future__ import annotations

from dataclasses import dataclass

from isthmus.model.api.v1alpha1.cloudpeer import Authentication, Tunnel, TunnelIDRange
from isthmus.model.api.v1alpha1.peerlink import OfferedTunnel, PeerLinkSpec
from isthmus.model.node.tunnel import Encapsulation, ModeName, encapsulation_named
from isthmus.model.proposals import is_hybrid
from isthmus.model.protocol import PROTOCOL_VERSION, agreed_version
from isthmus.model.reasons import Reason


@dataclass(frozen=True)
class Agreement:
    """The parameters that both PeerLinks agree on.

    `initiator` is true on the cloud whose ID sorts first: only one side initiates SAs, so that none are duplicated.
    `version` is the greatest version of the protocol that both speak.
    """

    encapsulation: Encapsulation
    id_range: TunnelIDRange
    ike_proposals: tuple[str, ...]
    esp_proposals: tuple[str, ...]
    initiator: bool
    version: int = PROTOCOL_VERSION
    own_authentication: Authentication = "PSK"
    """How this cloud's gateways authenticate themselves."""
    peer_authentication: Authentication = "PSK"
    mode: ModeName = "Transport"
    """Auto: by whether a NAT is between two gateways."""


@dataclass(frozen=True)
class Disagreement:
    """Why there is no agreement: a condition's reason, and a message with both sides' values."""

    reason: Reason
    message: str


def agree(ours: PeerLinkSpec, theirs: PeerLinkSpec) -> Agreement | Disagreement:
    """Compare both PeerLinks. The caller has checked that `theirs` names the right clouds."""
    version = common_version(ours, theirs)
    if version is None:
        return Disagreement(
            Reason.PROTOCOL_VERSIONS_DIFFER,
            f"no common version of the protocol: this cloud speaks {_versions(ours)}, the peer {_versions(theirs)}: "
            "upgrade the older Isthmus",
        )
    if ours.tunnel.encapsulation != theirs.tunnel.encapsulation:
        return Disagreement(
            Reason.ENCAPSULATIONS_DIFFER,
            f"tunnel.encapsulation is {ours.tunnel.encapsulation} here and {theirs.tunnel.encapsulation} at the peer: "
            "set the same in both CloudPeers",
        )
    encapsulation = encapsulation_of(ours.tunnel)
    if encapsulation != encapsulation_of(theirs.tunnel):
        return Disagreement(
            Reason.TUNNEL_PORTS_DIFFER,
            f"tunnel.port is {ours.tunnel.port} here and {theirs.tunnel.port} at the peer: "
            "set the same in both CloudPeers",
        )
    if ours.tunnel.id_range != theirs.tunnel.id_range:
        return Disagreement(
            Reason.TUNNEL_ID_RANGES_DIFFER,
            f"tunnel.idRange is {_text(ours.tunnel.id_range)} here and {_text(theirs.tunnel.id_range)} at the peer: "
            "set the same in both CloudPeers",
        )
    mode = _agreed_mode(ours.tunnel.mode, theirs.tunnel.mode)
    if mode is None:
        return Disagreement(
            Reason.TUNNEL_MODES_DIFFER,
            f"tunnel.mode is {ours.tunnel.mode} here and {theirs.tunnel.mode} at the peer: "
            "set the same in both CloudPeers, or Auto; a peer of an earlier release knows Transport alone",
        )
    ike = _common(ours, theirs, "all_ike_proposals")
    esp = _common(ours, theirs, "esp_proposals")
    if not ike and (hybrid := _hybrid_required(ours.ipsec.all_ike_proposals, theirs.ipsec.all_ike_proposals)):
        return Disagreement(Reason.HYBRID_REQUIRED, hybrid)
    if not ike or not esp:
        field, what = ("esp_proposals", "ESP") if ike else ("all_ike_proposals", "IKE")
        return Disagreement(
            Reason.NO_COMMON_PROPOSAL,
            f"no common {what} proposal: this cloud offers {', '.join(getattr(ours.ipsec, field))}; "
            f"the peer offers {', '.join(getattr(theirs.ipsec, field))}",
        )
    initiator = ours.cloud_id < theirs.cloud_id
    ways = ours.ipsec.authentication, theirs.ipsec.authentication
    return Agreement(encapsulation, ours.tunnel.id_range, ike, esp, initiator, version, *ways, mode)


def encapsulation_of(tunnel: Tunnel | OfferedTunnel) -> Encapsulation:
    """The encapsulation that a CloudPeer or a PeerLink names."""
    return encapsulation_named(tunnel.encapsulation, tunnel.port)


def _agreed_mode(ours: ModeName, theirs: ModeName) -> ModeName | None:
    """Auto takes whatever the other side names; None if both name a mode, and not the same."""
    if ours == "Auto" or ours == theirs:
        return theirs
    return ours if theirs == "Auto" else None


def common_version(ours: PeerLinkSpec, theirs: PeerLinkSpec) -> int | None:
    """The greatest version of the protocol that both speak; None if there is none."""
    if ours.protocol_version != theirs.protocol_version:
        return None
    return agreed_version(ours.protocol_versions, theirs.protocol_versions)


def own_tunnel_ids(id_range: TunnelIDRange, cloud_id: str, peer_cloud_id: str) -> range:
    """The tunnel IDs that `cloud_id` may allocate: the lower part of the range for the cloud ID that sorts first."""
    middle = id_range.first + (id_range.last - id_range.first + 1) // 2
    if cloud_id < peer_cloud_id:
        return range(id_range.first, middle)
    return range(middle, id_range.last + 1)


def _common(ours: PeerLinkSpec, theirs: PeerLinkSpec, field: str) -> tuple[str, ...]:
    """Proposals that both have, in the order of the cloud whose ID sorts first, so that both compute the same."""
    first, second = sorted((ours, theirs), key=lambda remote: remote.cloud_id)
    accepted = set(getattr(second.ipsec, field))
    return tuple(p for p in getattr(first.ipsec, field) if p in accepted)


def _hybrid_required(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str | None:
    """If one cloud demands a hybrid key exchange and the other offers none, both in a sentence."""
    for who, demanded, whom, offered in (
        ("this cloud", ours, "the peer", theirs),
        ("the peer", theirs, "this cloud", ours),
    ):
        if demanded and all(map(is_hybrid, demanded)) and not any(map(is_hybrid, offered)):
            return (
                f"{who} accepts hybrid key exchange only ({', '.join(demanded)}), and {whom} offers none "
                f"({', '.join(offered)}): its IPsecPolicy has no such proposal, or none of its gateways can do it"
            )
    return None


def _versions(spec: PeerLinkSpec) -> str:
    """The versions as an administrator compares them; `protocolVersion` only if it is not what it always is."""
    legacy = "" if spec.protocol_version == PROTOCOL_VERSION else f" (protocolVersion {spec.protocol_version})"
    return ", ".join(str(version) for version in spec.protocol_versions) + legacy


def _text(id_range: TunnelIDRange) -> str:
    return f"{id_range.first}-{id_range.last}"
