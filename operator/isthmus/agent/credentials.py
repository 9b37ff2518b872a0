"""What charon authenticates peers with, beside the connections: revocation lists, and keys that it was made to forget.

Charon keeps certificates and lists that were replaced, and those that peers sent, until everything is removed at once,
the keys in use among it. All of that has to be loaded again, however often a part of it fails.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from isthmus.core.node import credentials, issuers, revocations
from isthmus.core.node.plan import NodePlan
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.errors import Invalid
from isthmus.model.node.inputs import NodeInputs
from isthmus.model.node.ipsec import CertificateRef, IkeConnection, IkeView
from isthmus.model.reasons import Reason
from isthmus.ports import Ike

_NOT_IN_FORCE = "it has another one, which it takes for a newer one of the same CA, or has not been given this one yet"
_MAX_CERTIFICATES_FACTOR = 3  # a peer's old certificate and its new one, and ours, are all in use for a while


class Credentials:
    """Keeps charon's revocation lists as the Secrets have them, and knows what it lacks since all was removed."""

    def __init__(self, ike: Ike) -> None:
        self._ike = ike
        self._instance = ""
        self._in_force: frozenset[bytes] = frozenset()
        """The lists that this instance of charon has, or of which it has a newer one of the same CA."""
        self._present: frozenset[bytes] = frozenset()
        """The lists that charon had when it was asked last, also those that are of no Secret any more."""
        self._refused: dict[bytes, str] = {}
        """By list that charon does not take, its answer."""
        self._found: frozenset[issuers.Issuer] | None = None
        """The CAs that charon had when this agent started. None: it has not been asked, as no peer needs one."""
        self._trusted: Mapping[str, frozenset[issuers.Issuer]] = {}
        """By Secret, the CAs of it that may be in charon: no other peer may have one like them."""
        self._confused: dict[str, Problem] = {}
        """By Secret, that it has a CA that charon would confuse with one of another peer."""
        self._without_secrets: frozenset[str] | None = None
        """Connections in charon whose keys and certificates it may lack. None: an earlier agent may have been killed
        after it removed them."""

    def follow(self, plan: NodePlan, inputs: NodeInputs, fenced: frozenset[str], ike: IkeView) -> None:
        """Load the lists that charon lacks; have it forget what it has too much of, if all can be loaded again.

        Not while a connection stays as it is without being planned, or lacks its fence: it would lose its key. Raises
        ExternalError if charon does not answer, or refuses something other than a list.
        """
        self._recall(plan, ike)
        self._tell_apart(plan, inputs)
        usable = tuple(c for c in plan.connections if c.credential.secret_name not in self._confused)
        lists = credentials.revocation_lists(usable, inputs)
        if missing := [content for content in lists if content not in self._in_force]:
            self._load(missing, lists)
        if not self._can_load_all(plan, fenced, ike) or not self._has_too_much(plan, inputs, lists):
            return
        # Once more, before there is no way back: if charon does not take one, everything stays.
        self._load(lists, lists)
        if self._refused.keys().isdisjoint(lists):
            self._remove_all(plan, ike)
            self._load(lists, lists)

    def without_secrets(self) -> frozenset[str]:
        """Names of connections that must be loaded, whatever charon has."""
        return self._without_secrets or frozenset()

    def loaded(self, name: str) -> None:
        """A connection was loaded, with its keys and certificates."""
        self._without_secrets = self.without_secrets() - {name}

    def problem(self, connection: IkeConnection, inputs: NodeInputs) -> Problem | None:
        """Why a connection must not be loaded: a peer could authenticate itself by a certificate that is revoked."""
        confused = self._confused.get(connection.credential.secret_name)
        if confused is not None and isinstance(connection.credential, CertificateRef):
            return confused
        missing = [each for each in credentials.lists_of(connection, inputs) if each not in self._in_force]
        if not missing:
            return None
        answer = next((self._refused[each] for each in missing if each in self._refused), _NOT_IN_FORCE)
        where = f"{names.REVOCATION_KEY} of Secret {names.IPSEC_NAMESPACE}/{connection.credential.secret_name}"
        text = f"charon does not take a list in {where}, so this connection stays as it is: {answer}"
        return Problem(Reason.INVALID_CERTIFICATE, text[:1024])

    def _recall(self, plan: NodePlan, ike: IkeView) -> None:
        """What is known of this charon. One that lacks a connection gets it with all that belongs to it anyway."""
        if ike.instance != self._instance:
            self._instance, self._in_force = ike.instance, frozenset()
        if self._without_secrets is None:
            has_certificates = any(isinstance(c.credential, CertificateRef) for c in plan.connections)
            self._without_secrets = frozenset(ike.loaded if has_certificates else ())
        self._without_secrets &= ike.loaded.keys()

    def _tell_apart(self, plan: NodePlan, inputs: NodeInputs) -> None:
        """Find the CAs that charon would confuse, before one of them is loaded."""
        wanted = credentials.issuers_of(plan.connections, inputs)
        if self._found is None and wanted:
            self._found = issuers.issuers(self._ike.authorities())
        found = {secret: each & (self._found or frozenset()) for secret, each in wanted.items()}
        trusted = {**found, **self._trusted}
        self._confused = issuers.confusions(wanted, trusted, credentials.precedence(inputs))
        stay = trusted.keys() if plan.kept_connections else wanted.keys()
        accepted = {secret: each for secret, each in wanted.items() if secret not in self._confused}
        self._trusted = {secret: each for secret, each in trusted.items() if secret in stay} | accepted

    def _load(self, missing: Collection[bytes], lists: Collection[bytes]) -> None:
        """Each by itself: what charon refuses of one peer is no matter of the others. Then see which of all it has."""
        self._in_force = frozenset()
        for content in missing:
            try:
                self._ike.load_revocation_list(content)
            except Invalid as error:
                self._refused[content] = str(error)
            else:
                self._refused.pop(content, None)
        self._present = self._ike.revocation_lists()
        found = self._present.intersection(lists)
        self._in_force = (found | revocations.replaced(lists, found)) - self._refused.keys()

    def _can_load_all(self, plan: NodePlan, fenced: frozenset[str], ike: IkeView) -> bool:
        confused = {c.name for c in plan.connections if c.credential.secret_name in self._confused}
        kept = (plan.kept_connections | confused) & {*ike.loaded, *ike.states}
        return not kept and fenced.issuperset(connection.name for connection in plan.connections)

    def _has_too_much(self, plan: NodePlan, inputs: NodeInputs, lists: tuple[bytes, ...]) -> bool:
        if not self._present.issubset(lists):
            return True
        needed = credentials.certificates_needed(plan.connections, inputs)
        return needed > 0 and self._ike.certificates() > _MAX_CERTIFICATES_FACTOR * needed

    def _remove_all(self, plan: NodePlan, ike: IkeView) -> None:
        """Recorded before: if there is no answer, charon may have removed everything."""
        self._without_secrets = frozenset({*ike.loaded, *(connection.name for connection in plan.connections)})
        self._in_force = frozenset()
        self._ike.remove_credentials()
