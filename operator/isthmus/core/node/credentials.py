"""With what a node authenticates itself to a peer, and what it demands of the peer, by the agreement and the Secret."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from isthmus.core.federation.agreement import Agreement, agree
from isthmus.core.snapshot.index import claim_precedence
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeerSpec
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.node.inputs import CertificateEntries, NodeInputs
from isthmus.model.node.ipsec import CertificateChain, CertificateRef, Credential, IkeConnection, PreSharedKeyRef
from isthmus.model.reasons import Reason

from . import ipsec
from .certificates import Authorities, OwnCertificate, authorities, own_certificate
from .expiry import Expiry
from .issuers import Issuer

_KEEPING: Final = frozenset(
    {
        Reason.CERTIFICATE_NOT_FOUND,
        Reason.INVALID_CERTIFICATE,
        Reason.CERTIFICATE_KEY_DIFFERS,
        Reason.CERTIFICATE_CHAIN_TOO_LONG,
    }
)


@dataclass(frozen=True)
class Usable:
    """What can be loaded."""

    ref: Credential
    expiries: tuple[Expiry, ...] = ()


def credential_of(inputs: NodeInputs, peer: CloudPeerSpec, agreement: Agreement) -> Usable | Problem:
    """The credential of the connections to a peer, or why there is none."""
    secret = peer.ipsec.auth_secret_ref.name
    ways = {agreement.own_authentication, agreement.peer_authentication}
    key = inputs.keys.get(secret)
    version = key.version if key is not None and "PSK" in ways else ""
    if "PSK" in ways:
        problem = ipsec.key_problem(secret, key.content if key else None)
        if problem is not None:
            return problem
    if ways == {"PSK"}:
        return Usable(PreSharedKeyRef(secret, version))
    entries = inputs.certificates.get(secret, CertificateEntries())
    own: OwnCertificate | Problem | None = None
    if agreement.own_authentication == "Certificate":
        own = own_certificate(secret, entries, names.ike_identity(inputs.node, inputs.cloud_id))
    trusted: Authorities | Problem | None = None
    if agreement.peer_authentication == "Certificate":
        trusted = authorities(secret, entries.authorities, entries.revocation_lists)
    if isinstance(own, Problem):
        return own
    if isinstance(trusted, Problem):
        return trusted
    ref = CertificateRef(
        secret_name=secret,
        certificate=own.fingerprint if own else "",
        authorities=trusted.digest if trusted else "",
        revoked=trusted.revoked if trusted else "",
        secret_version=version,
    )
    return Usable(ref, tuple(_expiries(peer.cloud_id, secret, own, trusted)))


def keeps_what_stands(inputs: NodeInputs, peer: CloudPeerSpec, link: PeerLink | None) -> bool:
    """Whether a peer's connections stay as they are, because its Secret cannot be used for certificates."""
    if link is None or link.status.peer is None:
        return False
    agreement = agree(link.spec, link.status.peer.spec)
    found = credential_of(inputs, peer, agreement) if isinstance(agreement, Agreement) else None
    return isinstance(found, Problem) and found.reason in _KEEPING


def secrets_of(connection: IkeConnection, inputs: NodeInputs) -> tuple[bytes, CertificateChain]:
    """The pre-shared key and the certificates that a planned connection is loaded with."""
    ref = connection.credential
    key = inputs.keys.get(ref.secret_name)
    is_used = isinstance(ref, PreSharedKeyRef) or ref.secret_version
    psk = ipsec.pre_shared_key(key.content) if key is not None and is_used else b""
    entries = inputs.certificates.get(ref.secret_name)
    if isinstance(ref, PreSharedKeyRef) or entries is None:
        return psk, CertificateChain()
    own = own_certificate(ref.secret_name, entries, connection.ends.local_identity) if ref.certificate else None
    trusted = authorities(ref.secret_name, entries.authorities, entries.revocation_lists) if ref.authorities else None
    return psk, CertificateChain(
        certificate=own.pem if isinstance(own, OwnCertificate) else b"",
        private_key=own.private_key if isinstance(own, OwnCertificate) else b"",
        authorities=trusted.pem if isinstance(trusted, Authorities) else (),
    )


def revocation_lists(connections: tuple[IkeConnection, ...], inputs: NodeInputs) -> tuple[bytes, ...]:
    """The revocation lists of the CAs of all these connections, in DER, each once."""
    return tuple(dict.fromkeys(content for connection in connections for content in lists_of(connection, inputs)))


def lists_of(connection: IkeConnection, inputs: NodeInputs) -> tuple[bytes, ...]:
    """The revocation lists by which the peer of a connection is checked, in DER."""
    ref = connection.credential
    if isinstance(ref, PreSharedKeyRef) or not ref.authorities:
        return ()
    trusted = _authorities(ref.secret_name, inputs)
    return trusted.revocation_lists if trusted is not None else ()


def issuers_of(connections: Iterable[IkeConnection], inputs: NodeInputs) -> dict[str, frozenset[Issuer]]:
    """By Secret, the CAs that the peers of these connections are to be authenticated by."""
    refs = (c.credential for c in connections)
    secrets = {ref.secret_name for ref in refs if isinstance(ref, CertificateRef) and ref.authorities}
    found = {secret: _authorities(secret, inputs) for secret in secrets}
    return {secret: each.issuers for secret, each in found.items() if each is not None}


def precedence(inputs: NodeInputs) -> list[str]:
    """The Secrets of all peers, those in front whose CloudPeers claimed theirs first."""
    return [peer.spec.ipsec.auth_secret_ref.name for peer in sorted(inputs.peers, key=claim_precedence)]


def certificates_needed(connections: tuple[IkeConnection, ...], inputs: NodeInputs) -> int:
    """How many certificates and lists charon has when it has nothing old: ours, the CAs, the peers', the lists."""
    refs = [(c.name, c.credential) for c in connections if isinstance(c.credential, CertificateRef)]
    own = {ref.certificate for _, ref in refs if ref.certificate}
    trusted = {pem for _, ref in refs if ref.authorities for pem in _authorities_of(ref.secret_name, inputs)}
    peers = {name for name, ref in refs if ref.authorities}
    return len(own) + len(trusted) + len(peers) + len(revocation_lists(connections, inputs))


def _authorities_of(secret: str, inputs: NodeInputs) -> tuple[bytes, ...]:
    found = _authorities(secret, inputs)
    return found.pem if found is not None else ()


def _authorities(secret: str, inputs: NodeInputs) -> Authorities | None:
    entries = inputs.certificates.get(secret, CertificateEntries())
    found = authorities(secret, entries.authorities, entries.revocation_lists)
    return found if isinstance(found, Authorities) else None


def _expiries(cloud_id: str, secret: str, own: OwnCertificate | None, trusted: Authorities | None) -> Iterator[Expiry]:
    if own is not None:
        yield Expiry(cloud_id, "certificate", own.lifetime, secret)
    if trusted is not None:
        yield from (Expiry(cloud_id, "CA", lifetime, secret) for lifetime in trusted.lifetimes)
        yield from (Expiry(cloud_id, "CRL", lifetime, secret) for lifetime in trusted.list_lifetimes)
