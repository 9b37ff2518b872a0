"""charon of a gateway node in memory, and the SAs that it installs in the kernel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from isthmus.model import names
from isthmus.model.errors import Invalid, Unavailable
from isthmus.model.node.inforce import EspMode, InForce
from isthmus.model.node.ipsec import (
    CertificateChain,
    IkeChild,
    IkeConnection,
    IkeState,
    IkeView,
    ProtectPolicy,
    SecurityAssociation,
)
from isthmus.model.proposals import DEFAULT, additional_key_exchange, is_hybrid

from .node import FakeNode

_NO_CERTIFICATES = CertificateChain()
_MODES: dict[str, EspMode] = {"transport": "Transport", "tunnel": "Tunnel"}


class FakeIke:
    """ports.Ike; a peer that answers establishes SAs immediately."""

    def __init__(self, node: FakeNode) -> None:
        self._node = node

    def view(self) -> IkeView:
        node = self._ask()
        loaded = {name: connection.digest for name, connection in node.loaded.items()}
        states = {name: self._state(name, loaded.get(name)) for name in node.negotiated}
        up = {name for name, state in states.items() if state.children_installed}
        packets = {connection.ends.remote_address: node.ike_packets for connection in node.loaded.values()}
        refused, revoked = frozenset(node.refused - up), frozenset(node.revoked - up)
        view = IkeView(str(node.charon_instance), loaded, states, "5.9.8", refused, packets, revoked)
        return replace(view, key_exchanges=node.key_exchanges)

    def load(self, connection: IkeConnection, key: bytes, chain: CertificateChain = _NO_CERTIFICATES) -> None:
        node = self._ask()
        node.chains[connection.name] = chain
        node.certificates += len([chain.certificate, *chain.authorities]) if chain.certificate else 0
        node.revoked.discard(connection.name)
        wanted = {*map(additional_key_exchange, (*connection.ike_proposals, *connection.esp_proposals))} - {None}
        if connection.name in node.refused_connections or not wanted <= node.key_exchanges:
            raise Invalid("charon: invalid value for: proposals, config discarded")
        node.loaded[connection.name], node.keys[connection.name] = connection, key
        node.refused.discard(connection.name)
        node.changed(f"load {connection.name}")

    def load_revocation_list(self, content: bytes) -> None:
        """Like charon, keeps one list of all that it takes as of one CA, the one of the highest number, and says so."""
        node = self._ask()
        if content in node.refused_lists:
            raise Invalid("charon: parsing X509_CRL certificate failed")
        found = x509.load_der_x509_crl(content)
        for each in node.revocation_lists:
            present = x509.load_der_x509_crl(each)
            if not _is_of_same_authority(found, present):
                continue
            if _crl_number(found) <= _crl_number(present):
                break
            node.revocation_lists = tuple(other for other in node.revocation_lists if other != each)
            node.certificates -= 1
        else:
            node.revocation_lists = (*node.revocation_lists, content)
            node.certificates += 1
        node.changed("load_revocation_list")

    def revocation_lists(self) -> frozenset[bytes]:
        return frozenset(self._ask().revocation_lists)

    def authorities(self) -> frozenset[bytes]:
        found = (pem for chain in self._ask().chains.values() for pem in chain.authorities)
        return frozenset(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER) for pem in found)

    def certificates(self) -> int:
        return self._ask().certificates

    def remove_credentials(self) -> None:
        node = self._ask()
        node.keys, node.chains, node.certificates, node.revocation_lists = {}, {}, 0, ()
        node.changed("remove_credentials")

    def unload(self, name: str) -> None:
        node = self._ask()
        node.loaded.pop(name, None)
        node.keys.pop(name, None)
        self._end(name, node.negotiated.pop(name, set()))
        assert name not in {t.name for t in node.ports.tunnels}, "connection unloaded while its tunnel port exists"
        node.changed(f"unload {name}")

    def initiate(self, name: str) -> None:
        node = self._negotiating(name)
        if not node.peer_answers or name not in node.loaded:
            return
        if node.peer_is_revoked and node.revocation_lists:
            node.revoked.add(name)
        elif not self._acceptable(node.loaded[name]):
            return
        elif node.peer_key in {None, node.keys[name]}:
            self.establish(name)
        else:
            node.refused.add(name)

    def establish(self, name: str) -> None:
        """Establish SAs for a loaded connection, as if the peer had agreed."""
        connection = self._node.loaded[name]
        digests = self._node.negotiated.setdefault(name, set())
        if connection.digest not in digests:
            self._node.in_force[connection.digest] = self._negotiated(connection)
        digests.add(connection.digest)
        self._node.reqids[connection.digest] = {child.name: child.reqid for child in connection.children}
        self._node.agreed[connection.digest] = (self._acceptable(connection) or DEFAULT.ike)[0].split("-", 2)[2]
        ends = (connection.ends.local_address, connection.ends.remote_address)
        for child in self._children(name, [connection.digest]):
            for spi, (source, destination) in zip(sorted(child.spis), (ends, ends[::-1]), strict=True):
                self._node.associations |= {SecurityAssociation(source, destination, spi, "esp", child.reqid)}
            self._node.protect_policies |= {ProtectPolicy(way, child.reqid) for way in ("in", "out")}

    def take_over(self, name: str, children: frozenset[str]) -> None:
        assert children, "nothing to negotiate"
        self.initiate(name)

    def load_apart(self, connection: IkeConnection) -> None:
        assert self._ask().loaded[connection.name] == connection
        self._node.changed(f"load apart {connection.name}")

    def initiate_in_newest(self, connection: IkeConnection, children: frozenset[str]) -> None:
        assert children, "nothing to negotiate"
        self._node.changed(f"initiate in newest {connection.name}")

    def retire(self, name: str, numbers: frozenset[int] = frozenset(), children: frozenset[int] = frozenset()) -> None:
        node = self._ask()
        digests = node.negotiated.get(name, set())
        current = {node.loaded[name].digest} if name in node.loaded else set()
        if current <= digests:
            self._end(name, digests - current)
            node.negotiated.pop(name, None)
            node.negotiated |= {name: current} if current else {}
        node.changed(f"retire {name}")

    def rekey(self, name: str, spis: frozenset[int]) -> None:
        node = self._negotiating(name)
        digests = node.negotiated.get(name, set())
        children = self._children(name, digests)
        if node.peer_answers and name in node.loaded and any(child.spis & spis for child in children):
            self._end(name, digests)
            node.rekeyed[name] = node.rekeyed.get(name, 0) + 1
            now = datetime.now(UTC)
            node.in_force |= {digest: replace(node.in_force[digest], esp_since=now) for digest in digests}
            self.establish(name)
        node.changed(f"rekey {name}")

    def terminate(self, name: str) -> None:
        node = self._ask()
        self._end(name, node.negotiated.pop(name, set()))
        node.changed(f"terminate {name}")

    def _state(self, name: str, loaded: str | None) -> IkeState:
        digests = self._node.negotiated[name]
        children = frozenset(self._children(name, digests))
        installed = frozenset(self._node.reqids[loaded] if loaded in digests else ())
        spis = frozenset(spi for child in children for spi in child.spis)
        superseded, packets_in = digests != {loaded}, self._node.esp_packets
        agreed = min((self._node.agreed[digest] for digest in digests), key=is_hybrid)
        state = IkeState(True, installed, superseded, spis, children, key_exchange=agreed, packets_in=packets_in)
        return replace(state, in_force=min((self._node.in_force[d] for d in digests), key=lambda found: found.ike_sa))

    def _negotiated(self, connection: IkeConnection) -> InForce:
        """What is in force by a new IKE SA."""
        ike = (self._acceptable(connection) or DEFAULT.ike)[0].split("-")
        self._node.ike_sas += 1
        (mode,) = {_MODES[child.mode] for child in connection.children}
        return InForce(
            ike_sa=self._node.ike_sas,
            ike_cipher="-".join(ike[:2]),
            esp_cipher=connection.esp_proposals[0].split("-")[0],
            esp_mode=mode,
            nat=self._node.nat,
            ike_since=datetime.now(UTC),
            esp_since=datetime.now(UTC),
        )

    def _acceptable(self, connection: IkeConnection) -> list[str]:
        """IKE proposals that the peer can do, too."""
        peers = {None, *self._node.peer_key_exchanges}
        return [p for p in connection.ike_proposals if additional_key_exchange(p) in peers]

    def _end(self, name: str, digests: Iterable[str]) -> None:
        gone = {spi for child in self._children(name, digests) for spi in child.spis}
        self._node.associations = frozenset(a for a in self._node.associations if a.spi not in gone)

    def _children(self, name: str, digests: Iterable[str]) -> list[IkeChild]:
        """Those of each digest, of which each has the reqid of its selectors."""
        instance = f"{self._node.charon_instance}.{self._node.rekeyed.get(name, 0)}"
        return [
            IkeChild(reqid, frozenset(_number(instance, name, digest, child, end) for end in ("i", "o")))
            for digest in digests
            for child, reqid in sorted(self._node.reqids[digest].items())
        ]

    def _negotiating(self, name: str) -> FakeNode:
        if name in self._ask().refused_negotiations:
            raise Invalid("charon: CHILD_SA config not found")
        return self._node

    def _ask(self) -> FakeNode:
        if not self._node.charon_answers:
            raise Unavailable("charon does not answer")
        return self._node


def _is_of_same_authority(one: x509.CertificateRevocationList, other: x509.CertificateRevocationList) -> bool:
    """By the key identifiers or by the names."""
    identifiers = [
        each.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        for each in (one, other)
    ]
    return identifiers[0] == identifiers[1] or one.issuer == other.issuer


def _crl_number(revocation_list: x509.CertificateRevocationList) -> int:
    return revocation_list.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _number(*of: str) -> int:
    return int(names.digest(*of, digits=8), 16)
