"""Scopes: one peer or network, reconciled on its own, so that a failure of one does not affect the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.core.federation.credentials import Account
from isthmus.core.federation.drain import changes_in_seconds as deadline_in_seconds
from isthmus.core.federation.plan import plan_peer
from isthmus.core.federation.status import peer_status, peerlink_status
from isthmus.core.keys.enumeration import exists
from isthmus.core.keys.key import Key, Subject
from isthmus.core.network.attachment import awaits_port
from isthmus.core.network.origin.admission import claims, may_start
from isthmus.core.network.origin.expansion_status import expansion_statuses
from isthmus.core.network.origin.plan import plan_origin
from isthmus.core.network.origin.state import Origin
from isthmus.core.network.origin.status import origin_attachment, origin_links
from isthmus.core.network.receiver.approvals import approval_statuses
from isthmus.core.network.receiver.plan import plan_failure_answer, plan_receiver
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.receiver.status import receiver_attachment, receiver_links
from isthmus.core.network.remote_link import origin_of
from isthmus.core.network.security_groups import may_carry_groups, may_match_groups
from isthmus.core.network.timing import changes_in_seconds, looks_again_in_seconds
from isthmus.core.placement.gateway_nodes import plan_gateway_nodes
from isthmus.core.snapshot.index import Snapshot
from isthmus.core.snapshot.unclear_status import plan_not_understood
from isthmus.model.actions import Plan, Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.facts.openstack import NetworkFacts

from .backends import Backends
from .factfeed import FactFeed
from .facts import FactCache, FactReader, keeping_ports, origin_facts, peer_account, receiver_facts
from .repairs import RepairLog


class Scope(Protocol):
    """What a key stands for. Planning is pure; only `observe` waits for an external system."""

    @property
    def key(self) -> Key: ...

    def observe(self, snapshot: Snapshot) -> None:
        """Fetch the facts that planning needs, unless they are cached. Raises ExternalError."""
        ...

    def is_observed(self, snapshot: Snapshot) -> bool:
        """Whether the facts that planning needs now are there: the snapshot may have changed meanwhile."""
        ...

    def plan(self, snapshot: Snapshot) -> Plan:
        """What to do now; empty if nothing."""
        ...

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """What to publish for a peer if reconciliation failed."""
        ...

    def statuses(
        self, snapshot: Snapshot, failure: Problem | None, left_alone: Problem | None = None
    ) -> tuple[CustomObject, ...]:
        """Its objects with the status that they should have.

        `failure` is why reconciliation failed, `left_alone` why the plan leaves something as others made it.
        """
        ...

    def changes_in_seconds(self, snapshot: Snapshot) -> float | None:
        """Seconds until time alone changes the plan; None if it does not."""
        ...

    def is_fresh(self) -> bool:
        """Whether its plan was made from facts fetched in this iteration, so that it may be applied."""
        ...

    def invalidate(self) -> int:
        """Have the facts fetched again before the next plan. Returns their version after that."""
        ...


class FactCaches:
    """The caches of all facts, kept from one iteration to the next."""

    def __init__(self, backends: Backends, require_openstack: Callable[[], None], resync_seconds: float) -> None:
        def network_facts(snapshot: Snapshot, link_name: str) -> NetworkFacts:
            require_openstack()
            if origin_of(link_name) == snapshot.own.cloud_id:
                facts = origin_facts(backends.cloud, snapshot, link_name, self.feed.project_of)
            else:
                facts = receiver_facts(backends.cloud, snapshot, link_name)
            return keeping_ports(facts, self.networks.cached(link_name))

        self.networks: FactCache[NetworkFacts] = FactCache(network_facts)
        self.feed = FactFeed(backends.cloud, backends.clock, self.networks, network_facts_of, resync_seconds)
        self.accounts: FactCache[Account] = FactCache(lambda _, cloud_id: peer_account(backends.cluster, cloud_id))

    def expire(self, key: Key, snapshot: Snapshot) -> None:
        """Fetch the facts of that key again when next needed; those of networks are kept up to date by the feed."""
        peer = snapshot.get(CloudPeer, key.name) if key.subject == Subject.PEER else None
        if peer is not None:
            self.accounts.expire(peer.spec.cloud_id)


@dataclass(frozen=True)
class SnapshotScope:
    """What is planned from the snapshot alone: the GatewayNode objects, and objects that are not understood."""

    key: Key
    planned: Callable[[Snapshot], Plan]

    def observe(self, snapshot: Snapshot) -> None:
        """Nothing: the plan needs the snapshot only."""

    def is_observed(self, snapshot: Snapshot) -> bool:
        """Always."""
        return True

    def plan(self, snapshot: Snapshot) -> Plan:
        """The actions that are missing."""
        return self.planned(snapshot)

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: peers do not read them."""
        return Plan()

    def statuses(
        self, snapshot: Snapshot, failure: Problem | None, left_alone: Problem | None = None
    ) -> tuple[CustomObject, ...]:
        """None: the agents write those of GatewayNodes."""
        return ()

    def changes_in_seconds(self, snapshot: Snapshot) -> float | None:
        """Time alone changes nothing."""
        return None

    def is_fresh(self) -> bool:
        """Always: there are no facts."""
        return True

    def invalidate(self) -> int:
        """Does nothing: there are no facts."""
        return 0


@dataclass(frozen=True)
class PeerScope:
    """One CloudPeer."""

    key: Key
    cloud_id: str
    facts: FactCaches

    def observe(self, snapshot: Snapshot) -> None:
        """Read the peer's account."""
        self.facts.accounts.get(snapshot, self.cloud_id)

    def is_observed(self, snapshot: Snapshot) -> bool:
        """Whether the account was read."""
        return self.facts.accounts.cached(self.cloud_id) is not None

    def plan(self, snapshot: Snapshot) -> Plan:
        """The peer's namespace, its account, our PeerLink."""
        peer, account = snapshot.get(CloudPeer, self.key.name), self.facts.accounts.cached(self.cloud_id)
        return plan_peer(snapshot, peer, account) if peer is not None and account is not None else Plan()

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: our PeerLink is an offer made from local facts, which a failure does not change."""
        return Plan()

    def statuses(
        self, snapshot: Snapshot, failure: Problem | None, left_alone: Problem | None = None
    ) -> tuple[CustomObject, ...]:
        """The CloudPeer, and our PeerLink if this CloudPeer owns its cloud ID."""
        peer = snapshot.get(CloudPeer, self.key.name)
        if peer is None:
            return ()
        link = snapshot.peerlink(self.cloud_id) if snapshot.peer_of(self.cloud_id) == peer else None
        published = (peerlink_status(snapshot, peer, link),) if link else ()
        return (*published, peer_status(snapshot, peer, failure, self.facts.accounts.cached(self.cloud_id)))

    def changes_in_seconds(self, snapshot: Snapshot) -> float | None:
        """The agreement may be drained, and its deadline comes."""
        return deadline_in_seconds(snapshot, self.cloud_id)

    def is_fresh(self) -> bool:
        """Whether the account was read in this iteration."""
        return self.facts.accounts.is_fresh(self.cloud_id)

    def invalidate(self) -> int:
        """Have the account read again."""
        return self.facts.accounts.invalidate(self.cloud_id)


@dataclass(frozen=True)
class NetworkScope:
    """One network, of this cloud or of a peer; the name of its key is its link name."""

    key: Key
    facts: FactCaches
    repairs: RepairLog

    def observe(self, snapshot: Snapshot) -> None:
        """Ask OpenStack, unless it need not be asked: a withdrawn link, a refused offer, no agreement with any peer."""
        if _needs_openstack(snapshot, self.key.name):
            if self._lacks_groups(snapshot):
                self.facts.networks.expire(self.key.name)
            self.facts.networks.get(snapshot, self.key.name)
        else:
            self.facts.networks.drop(self.key.name)

    def is_observed(self, snapshot: Snapshot) -> bool:
        """Whether OpenStack was asked if it must be."""
        return self._facts is not None or not _needs_openstack(snapshot, self.key.name)

    def plan(self, snapshot: Snapshot) -> Plan:
        """The origin's plan or the receiver's."""
        repairs = self.repairs.of(self.key.name, self._facts)
        if origin_of(self.key.name) == snapshot.own.cloud_id:
            return plan_origin(Origin(snapshot, self.key.name, self._facts), repairs)
        return plan_receiver(Receiver(snapshot, self.key.name, self._facts), repairs)

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """A receiver answers the offer, so that the origin need not wait."""
        if origin_of(self.key.name) == snapshot.own.cloud_id:
            return Plan()
        return plan_failure_answer(Receiver(snapshot, self.key.name, self._facts))

    def statuses(
        self, snapshot: Snapshot, failure: Problem | None, left_alone: Problem | None = None
    ) -> tuple[CustomObject, ...]:
        """Our ExpansionLinks, the Attachment, the NetworkExpansions, ExpansionApprovals of that name."""
        attachment: Attachment | None
        trouble = failure or left_alone
        if origin_of(self.key.name) == snapshot.own.cloud_id:
            origin = Origin(snapshot, self.key.name, self._facts)
            attachment = origin_attachment(origin, trouble)
            others = (*origin_links(origin, trouble), *expansion_statuses(origin, trouble))
        else:
            receiver = Receiver(snapshot, self.key.name, self._facts)
            attachment = receiver_attachment(receiver, trouble)
            others = receiver_links(receiver, trouble)
        approvals = approval_statuses(Receiver(snapshot, self.key.name, self._facts), failure)
        return (*others, *approvals, *((attachment,) if attachment else ()))

    def changes_in_seconds(self, snapshot: Snapshot) -> float | None:
        """A grace period ends, the network may return to its preferred gateway node, or its port may have come up."""
        moments = (
            changes_in_seconds(snapshot, self.key.name),
            looks_again_in_seconds(snapshot, self.key.name, self._facts),
        )
        return min((seconds for seconds in moments if seconds is not None), default=None)

    def is_fresh(self) -> bool:
        """Whether OpenStack was asked in this iteration and after the last change."""
        return self.facts.networks.is_fresh(self.key.name)

    def invalidate(self) -> int:
        """Have OpenStack asked again."""
        return self.facts.networks.invalidate(self.key.name)

    def _lacks_groups(self, snapshot: Snapshot) -> bool:
        """Whether the facts are of a time at which the security groups were of no interest."""
        facts = self._facts
        if facts is None or facts.network is None:
            return False
        lacks_rules = facts.groups is None or any(group.rules is None for group in facts.groups)
        return (facts.groups is None and may_match_groups(snapshot, self.key.name)) or (
            lacks_rules and may_carry_groups(snapshot, self.key.name)
        )

    @property
    def _facts(self) -> NetworkFacts | None:
        return self.facts.networks.cached(self.key.name)


def scope_of(key: Key, snapshot: Snapshot, facts: FactCaches, repairs: RepairLog) -> Scope | None:
    """The scope of a key, at the beginning of an iteration; None if nothing of it exists any more."""
    match key.subject:
        case Subject.GATEWAY_NODES:
            return SnapshotScope(key, plan_gateway_nodes)
        case Subject.NOT_UNDERSTOOD:
            return SnapshotScope(key, plan_not_understood)
        case Subject.PEER:
            peer = snapshot.get(CloudPeer, key.name)
            if peer is None:
                return None
            facts.accounts.begin(peer.spec.cloud_id)
            return PeerScope(key, peer.spec.cloud_id, facts)
        case Subject.NETWORK:
            if not exists(snapshot, key.name) and key.name not in snapshot.views.offered(origin_of(key.name)):
                facts.networks.drop(key.name)
                repairs.forget(key.name)
                return None
            facts.networks.begin(key.name)
            if awaits_port(snapshot.attachment(key.name), facts.networks.cached(key.name)):
                facts.networks.expire(key.name)
            return NetworkScope(key, facts, repairs)


def _needs_openstack(snapshot: Snapshot, link_name: str) -> bool:
    if snapshot.attachment(link_name) is not None:
        return True
    if origin_of(link_name) == snapshot.own.cloud_id:
        is_published = any(link.spec.state == "Active" for link in snapshot.links_of(link_name))
        return is_published or any(may_start(snapshot, e, link_name) for e in claims(snapshot, link_name))
    return Receiver(snapshot, link_name).intent == "Replicate"


def network_facts_of(reader: FactReader, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    """Facts about one network, of this cloud or of a peer. Raises ExternalError."""
    if origin_of(link_name) == snapshot.own.cloud_id:
        return origin_facts(reader, snapshot, link_name)
    return receiver_facts(reader, snapshot, link_name)
