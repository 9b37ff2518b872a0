"""What this cloud's cluster has already: itself, its peers and its IPsecPolicies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from isthmus.model.names import INVITATION_ANNOTATION
from isthmus.model.proposals import proposals_of

from ..documents import Document, entries, is_true, number, text, texts
from ..refusals import Misused, Refused
from .bundle import is_cloud_id
from .terms import DEFAULT_PORTS, Proposals, Tunnel, known_encapsulation, overlapping

DEFAULT_POLICY: Final = "default"


@dataclass(frozen=True)
class Own:
    """This cloud."""

    cloud_id: str
    gateway_cidrs: tuple[str, ...]


@dataclass(frozen=True)
class KnownPeer:
    """A CloudPeer."""

    name: str
    cloud_id: str
    state: str
    is_terminating: bool
    message: str
    """Of condition Ready."""
    gateway_cidrs: tuple[str, ...]
    invitation_id: str
    tunnel: Tunnel
    policy: str
    kubeconfig_secret: str
    key_secret: str
    networks_out: int
    networks_in: int

    @classmethod
    def parse(cls, item: Document) -> KnownPeer:
        """A CloudPeer as kubectl prints it."""
        ready = next((c for c in entries(item, "status", "conditions") if text(c, "type") == "Ready"), {})
        return cls(
            name=text(item, "metadata", "name"),
            cloud_id=text(item, "spec", "cloudID"),
            state=text(item, "spec", "agreement", "state"),
            is_terminating=text(item, "metadata", "deletionTimestamp") != "",
            message=text(ready, "message"),
            gateway_cidrs=texts(item, "spec", "gatewayCIDRs"),
            invitation_id=text(item, "metadata", "annotations", INVITATION_ANNOTATION),
            tunnel=_tunnel(item),
            policy=text(item, "spec", "ipsec", "policyRef", "name"),
            kubeconfig_secret=text(item, "spec", "api", "kubeconfigSecretRef", "name"),
            key_secret=text(item, "spec", "ipsec", "authSecretRef", "name"),
            networks_out=number(item, "status", "networksOut") or 0,
            networks_in=number(item, "status", "networksIn") or 0,
        )


@dataclass(frozen=True)
class Known:
    """Everything together."""

    own: Own
    peers: tuple[KnownPeer, ...]
    policies: Mapping[str, Proposals]

    @classmethod
    def parse(cls, own: Own, items: Iterable[Document]) -> Known:
        """The CloudPeers and IPsecPolicies of a `List` of kubectl."""
        found = list(items)
        policies = {text(item, "metadata", "name"): _proposals(item) for item in _of(found, "IPsecPolicy")}
        return cls(own, tuple(map(KnownPeer.parse, _of(found, "CloudPeer"))), policies)

    def policy(self, wanted: str) -> str:
        """The IPsecPolicy of that name, or without one the only one; `default` if there is none at all yet."""
        if wanted and wanted not in self.policies:
            raise Misused(f"there is no IPsecPolicy {wanted!r}; there is: {', '.join(sorted(self.policies)) or 'none'}")
        if wanted or len(self.policies) == 1:
            return wanted or next(iter(self.policies))
        if self.policies and DEFAULT_POLICY not in self.policies:
            raise Misused(
                f"there are several IPsecPolicies: choose one by --policy: {', '.join(sorted(self.policies))}"
            )
        return DEFAULT_POLICY

    def proposals(self, policy: str) -> Proposals:
        """What an IPsecPolicy allows; the defaults if it does not exist yet."""
        return self.policies.get(policy, Proposals())

    def require_no_peer(self, cloud_id: str, invitation_id: str = "") -> None:
        """Raise Refused if there is a CloudPeer of that cloud or of that name."""
        for peer in self.peers:
            if cloud_id not in (peer.cloud_id, peer.name):
                continue
            if invitation_id and peer.invitation_id == invitation_id:
                raise Refused(f"this invitation was used already: CloudPeer {peer.name} was made with it")
            if peer.state == "Invited":
                raise Refused(
                    f"{cloud_id} is invited already: accept its answer, or withdraw the invitation with "
                    f"kubectl isthmus revoke {peer.name}"
                )
            raise Refused(f"there is a CloudPeer {peer.name} for cloud {peer.cloud_id} already")

    def require_invited(self, cloud_id: str, invitation_id: str) -> KnownPeer:
        """The peer that was invited by that invitation and has not answered yet. Raises Refused."""
        peer = next((peer for peer in self.peers if peer.cloud_id == cloud_id), None)
        if peer is None:
            raise Refused(f"{cloud_id} is not invited: the invitation was withdrawn")
        if peer.invitation_id != invitation_id:
            raise Refused(f"the file answers another invitation than the one that {cloud_id} has now")
        if peer.is_terminating:
            raise Refused(f"CloudPeer {peer.name} is being deleted: invite the peer again when it is gone")
        if peer.state != "Invited":
            raise Refused(f"an answer to this invitation was accepted already: CloudPeer {peer.name} is {peer.state}")
        return peer

    def require_apart(self, cloud_id: str, gateway_cidrs: tuple[str, ...]) -> None:
        """Raise Refused if a peer's gateway networks overlap ours or those of another peer."""
        if cidr := overlapping(gateway_cidrs, self.own.gateway_cidrs):
            raise Refused(f"the gateway network {cidr} of {cloud_id} overlaps this cloud's own")
        for peer in self.peers:
            if peer.cloud_id != cloud_id and (cidr := overlapping(gateway_cidrs, peer.gateway_cidrs)):
                raise Refused(f"the gateway network {cidr} of {cloud_id} overlaps those of CloudPeer {peer.name}")

    def require_common(self, cloud_id: str, policy: str, theirs: Proposals) -> None:
        """Raise Refused if an IPsecPolicy and a peer's have no proposal in common."""
        ours = self.proposals(policy)
        for what, one, other in (("IKE", ours.ike, theirs.ike), ("ESP", ours.esp, theirs.esp)):
            if not set(one) & set(other):
                raise Refused(
                    f"IPsecPolicy {policy} and {cloud_id} have no {what} proposal in common: {', '.join(one)} here, "
                    f"{', '.join(other)} there"
                )


def peer_named(peers: Iterable[KnownPeer], name: str) -> KnownPeer:
    """The CloudPeer of that name. Raises Misused."""
    by_name = {peer.name: peer for peer in peers}
    if name in by_name:
        return by_name[name]
    similar = get_close_matches(name, by_name, n=1)
    hint = f"; did you mean {similar[0]}?" if similar else ""
    raise Misused(f"there is no CloudPeer {name!r}{hint}")


def cloud_id(name: str) -> str:
    """The argument, if it is a cloud ID. Raises Misused."""
    if not is_cloud_id(name):
        raise Misused(f"{name!r} is no cloud ID: at most 40 lower-case letters, digits and hyphens")
    return name


def _of(items: Iterable[Document], kind: str) -> list[Document]:
    return [item for item in items if text(item, "kind") == kind]


def _tunnel(item: Document) -> Tunnel:
    """With what is used where the CloudPeer says nothing."""
    tunnel, default = ("spec", "tunnel"), Tunnel()
    encapsulation = known_encapsulation(text(item, *tunnel, "encapsulation")) or default.encapsulation
    return Tunnel(
        number(item, *tunnel, "port") or DEFAULT_PORTS[encapsulation],
        number(item, *tunnel, "idRange", "first") or default.first,
        number(item, *tunnel, "idRange", "last") or default.last,
        encapsulation,
    )


def _proposals(item: Document) -> Proposals:
    lists = texts(item, "spec", "ike", "proposals"), texts(item, "spec", "esp", "proposals")
    required = is_true(item, "spec", "requireHybrid")
    found = proposals_of(text(item, "spec", "baseline") or None, *lists, require_hybrid=required)
    return Proposals(found.ike, found.esp)
