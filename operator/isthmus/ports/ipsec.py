"""IPsec on this node: the kernel's XFRM, and charon."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from isthmus.model.node.ipsec import (
    BlockPolicy,
    BlockView,
    CertificateChain,
    IkeConnection,
    IkeView,
    ProtectPolicy,
    SecurityAssociation,
)


class Xfrm(Protocol):
    """Static block policies, and states, in this node's kernel. Thread-safe.

    Policies of charon and of others MUST NOT be changed, and what cannot be interpreted MUST be left out of a view.
    """

    def blocks(self) -> BlockView:
        """All block policies of ours, also those that have another priority or action by now."""
        ...

    def add_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """Add block policies, with a priority below charon's so that its policies win, and correct outdated ones.

        A policy of ours MUST NOT cease to block while it is corrected. `Conflict`, which names the foreign policy, if
        one has the selector of one of them; it MUST NOT be replaced, and all other blocks MUST be added.
        """
        ...

    def remove_blocks(self, blocks: Iterable[BlockPolicy]) -> None:
        """Remove block policies of ours. MUST NOT fail if one does not exist."""
        ...

    def associations(self, addresses: frozenset[str]) -> frozenset[SecurityAssociation]:
        """The states whose source or destination is one of these addresses.

        Larval states, which have no keys yet, MUST be left out: charon is negotiating them.
        """
        ...

    def protect_policies(self) -> frozenset[ProtectPolicy]:
        """All policies that demand ESP, by whomever."""
        ...

    def remove_associations(self, associations: Iterable[SecurityAssociation]) -> None:
        """Delete states. MUST NOT fail if one does not exist."""
        ...


class Ike(Protocol):
    """This node's charon, through VICI. Not thread-safe. `Unavailable` if charon does not answer, `Invalid` if it
    rejects a request."""

    def view(self) -> IkeView:
        """Loaded connections of ours, and their live SAs.

        MUST be called after `Xfrm.associations`: then every state of the kernel's that is missing here is stale.
        """
        ...

    def load(self, connection: IkeConnection, key: bytes, chain: CertificateChain = ...) -> None:
        """Load the pre-shared key and the certificates, then the connection, with the initiator's trap policies.

        A part that the connection does not need is empty. `Invalid`, before anything is changed, if a proposal names an
        additional key exchange that charon cannot do: older ones would discard the connection, newer ones agree on it
        and fail.

        SAs that exist MUST stay, also if the connection or the key changed: they carry the traffic until `retire`.
        """
        ...

    def load_revocation_list(self, content: bytes) -> None:
        """Load a revocation list in DER. SAs that exist MUST stay; the next authentication MUST heed it.

        Unless there is one of the same CA that is not older: then that stays in force, without an error. charon takes
        CAs for the same if their names or their key identifiers are equal. `Invalid` if it is refused.
        """
        ...

    def revocation_lists(self) -> frozenset[bytes]:
        """The revocation lists in force, in DER: those that were loaded and not replaced."""
        ...

    def authorities(self) -> frozenset[bytes]:
        """The certificates of CAs that were loaded with connections, also with those of before, in DER."""
        ...

    def certificates(self) -> int:
        """The number of certificates and revocation lists that charon has, loaded by us or received from peers."""
        ...

    def remove_credentials(self) -> None:
        """Remove all keys, certificates and revocation lists; connections and SAs MUST stay.

        Until everything is loaded again, no authentication succeeds.
        """
        ...

    def unload(self, name: str) -> None:
        """Remove trap policies, connection and key, and end the connection's SAs. MUST NOT fail if any is missing."""
        ...

    def initiate(self, name: str) -> None:
        """Start negotiating those children of the loaded connection that are not installed.

        MUST NOT wait for the peer. SAs negotiated for a previous version of the connection MUST stay. No error if no
        such connection is loaded.
        """
        ...

    def take_over(self, name: str, children: frozenset[str]) -> None:
        """Start negotiating these children of the loaded connection, those that are not installed.

        MUST NOT wait for the peer, nor end anything. No error if no such connection is loaded.
        """
        ...

    def load_apart(self, connection: IkeConnection) -> None:
        """Load the connection, which is loaded, again: what is initiated later MUST NOT join the IKE SAs of now.

        Everything else stays as it is.
        """
        ...

    def initiate_in_newest(self, connection: IkeConnection, children: frozenset[str]) -> None:
        """Start negotiating these children of the loaded connection in its newest IKE SA, which the peer has initiated.

        In an IKE SA of their own if the connection was not loaded apart from older ones before. MUST NOT wait for the
        peer, nor end anything: what is installed stays beside it.
        """
        ...

    def retire(self, name: str, numbers: frozenset[int] = frozenset(), children: frozenset[int] = frozenset()) -> None:
        """End SAs negotiated for a previous version of the connection, and the IKE SAs and children of these numbers.

        Does nothing if other IKE SAs do not have all children of the loaded connection: traffic would be interrupted.
        """
        ...

    def rekey(self, name: str, spis: frozenset[int]) -> None:
        """Start rekeying those children of the connection that have one of these SPIs.

        Charon then installs SAs and policies as if they had never been there. MUST NOT wait for the peer. A child that
        is being rekeyed already MUST be left alone.
        """
        ...

    def terminate(self, name: str) -> None:
        """End the connection's IKE SAs with all their children; what is loaded stays. No error if there is none."""
        ...
