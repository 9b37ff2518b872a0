"""Scopes: one peer or network, reconciled on its own, so that a failure of one does not affect the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from isthmus.core.federation.peer import view_of
from isthmus.core.federation.plan import Account, plan_peer
from isthmus.core.federation.status import peer_status, peerlink_status
from isthmus.core.network.origin.admission import claims
from isthmus.core.network.origin.expansion_status import expansion_statuses
from isthmus.core.network.origin.plan import plan_origin
from isthmus.core.network.origin.state import Origin
from isthmus.core.network.origin.status import origin_attachment, origin_links
from isthmus.core.network.receiver.plan import plan_failure_answer, plan_receiver
from isthmus.core.network.receiver.state import Receiver
from isthmus.core.network.receiver.status import receiver_attachment, receiver_links
from isthmus.core.network.remote_link import is_link_name_of, origin_of
from isthmus.core.placement.gateway_nodes import plan_gateway_nodes
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Plan, Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.facts.openstack import NetworkFacts

from .backends import Backends
from .facts import FactCache, origin_facts, peer_account, receiver_facts

_EXTRA_REFUSED_OFFERS = 16  # offers beyond the limit that are still answered, even if the limit is 0


class Scope(Protocol):
    """One unit of reconciliation."""

    @property
    def name(self) -> str: ...

    def plan(self, snapshot: Snapshot) -> Plan:
        """What to do now; empty if nothing. May raise ExternalError, when facts are fetched."""
        ...

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """What to publish for a peer if reconciliation failed."""
        ...

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """Its objects with the status that they should have; `failure` is why reconciliation failed."""
        ...

    def is_fresh(self) -> bool:
        """Whether its plan was made from facts fetched in this cycle, so that it may be applied."""
        ...

    def invalidate(self) -> None:
        """Have the facts fetched again before the next plan."""
        ...


class FactCaches:
    """The caches of all facts, kept from one cycle to the next."""

    def __init__(self, backends: Backends, require_openstack: Callable[[], None]) -> None:
        def network_facts(snapshot: Snapshot, link_name: str) -> NetworkFacts:
            require_openstack()
            return _network_facts(backends, snapshot, link_name)

        self.networks: FactCache[NetworkFacts] = FactCache(network_facts)
        self.accounts: FactCache[Account] = FactCache(lambda _, cloud_id: peer_account(backends.cluster, cloud_id))

    def begin_cycle(self, *, resync: bool) -> None:
        """See `FactCache.begin_cycle`."""
        self.networks.begin_cycle(resync=resync)
        self.accounts.begin_cycle(resync=resync)


@dataclass(frozen=True)
class GatewayNodesScope:
    """The GatewayNode objects."""

    name: str = "gateway nodes"

    def plan(self, snapshot: Snapshot) -> Plan:
        """One GatewayNode for each labelled node."""
        return plan_gateway_nodes(snapshot)

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: peers do not read them."""
        return Plan()

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """None: the agents write them."""
        return ()

    def is_fresh(self) -> bool:
        """Always: the plan needs the snapshot only."""
        return True

    def invalidate(self) -> None:
        """Does nothing: there are no facts."""


@dataclass(frozen=True)
class PeerScope:
    """One CloudPeer."""

    name: str
    cloud_id: str
    facts: FactCaches

    def plan(self, snapshot: Snapshot) -> Plan:
        """The peer's namespace, its account, our PeerLink."""
        peer = snapshot.get(CloudPeer, self.name)
        if peer is None:
            return Plan()
        return plan_peer(snapshot, peer, self.facts.accounts.get(snapshot, self.cloud_id))

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: our PeerLink is an offer made from local facts, which a failure does not change."""
        return Plan()

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """The CloudPeer, and our PeerLink if this CloudPeer owns its cloud ID."""
        peer = snapshot.get(CloudPeer, self.name)
        if peer is None:
            return ()
        link = snapshot.peerlink(self.cloud_id) if snapshot.peer_of(self.cloud_id) == peer else None
        published = (peerlink_status(snapshot, peer, link),) if link else ()
        return (*published, peer_status(snapshot, peer, failure))

    def is_fresh(self) -> bool:
        """Whether the account was read in this cycle."""
        return self.facts.accounts.is_fresh(self.cloud_id)

    def invalidate(self) -> None:
        """Have the account read again."""
        self.facts.accounts.invalidate(self.cloud_id)


@dataclass(frozen=True)
class NetworkScope:
    """One network, of this cloud or of a peer; `name` is its link name."""

    name: str
    facts: FactCaches

    def plan(self, snapshot: Snapshot) -> Plan:
        """The origin's plan or the receiver's."""
        if origin_of(self.name) == snapshot.own.cloud_id:
            return plan_origin(Origin(snapshot, self.name, self._facts(snapshot)))
        return plan_receiver(Receiver(snapshot, self.name, self._facts(snapshot)))

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """A receiver answers the offer, so that the origin need not wait."""
        if origin_of(self.name) == snapshot.own.cloud_id:
            return Plan()
        return plan_failure_answer(Receiver(snapshot, self.name, self.facts.networks.cached(self.name)))

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """Our ExpansionLinks, the Attachment, the NetworkExpansions."""
        facts = self.facts.networks.cached(self.name)
        attachment: Attachment | None
        if origin_of(self.name) == snapshot.own.cloud_id:
            origin = Origin(snapshot, self.name, facts)
            attachment = origin_attachment(origin, failure)
            others = (*origin_links(origin, failure), *expansion_statuses(origin, failure))
        else:
            receiver = Receiver(snapshot, self.name, facts)
            attachment = receiver_attachment(receiver, failure)
            others = receiver_links(receiver, failure)
        return (*others, *((attachment,) if attachment else ()))

    def is_fresh(self) -> bool:
        """Whether OpenStack was asked in this cycle and after the last change."""
        return self.facts.networks.is_fresh(self.name)

    def invalidate(self) -> None:
        """Have OpenStack asked again."""
        self.facts.networks.invalidate(self.name)

    def _facts(self, snapshot: Snapshot) -> NetworkFacts | None:
        """None if OpenStack need not be asked: a withdrawn link, a refused offer."""
        if not _needs_openstack(snapshot, self.name):
            self.facts.networks.drop(self.name)
            return None
        return self.facts.networks.get(snapshot, self.name)


def peer_scopes(snapshot: Snapshot, facts: FactCaches) -> tuple[PeerScope, ...]:
    """A scope for every CloudPeer."""
    return tuple(PeerScope(p.metadata.name, p.spec.cloud_id, facts) for p in snapshot.all(CloudPeer))


def network_scopes(snapshot: Snapshot, facts: FactCaches) -> tuple[NetworkScope, ...]:
    """A scope for every network that is requested, published, attached, or offered by a peer."""
    found = set(snapshot.expansions)
    found |= {link.metadata.name for link in snapshot.all(ExpansionLink)}
    found |= {attachment.metadata.name for attachment in snapshot.all(Attachment)}
    for peer in snapshot.all(CloudPeer):
        found |= _new_offers(snapshot, peer)
    facts.networks.retain(found)
    return tuple(NetworkScope(name, facts) for name in sorted(found))


def _new_offers(snapshot: Snapshot, peer: CloudPeer) -> set[str]:
    """Offers without an object of ours, the first by name, bounded: a peer may publish any number."""
    cloud_id = peer.spec.cloud_id
    known = {link.metadata.name for link in snapshot.links_to(cloud_id)}
    known |= {attachment.metadata.name for attachment in snapshot.all(Attachment)}
    offered = (name for name in view_of(snapshot, cloud_id).links if is_link_name_of(name, cloud_id))
    known_of_peer = sum(origin_of(name) == cloud_id for name in known)
    room = max(0, 2 * peer.spec.agreement.limits.networks + _EXTRA_REFUSED_OFFERS - known_of_peer)
    return set(sorted(set(offered) - known)[:room])


def _needs_openstack(snapshot: Snapshot, link_name: str) -> bool:
    if snapshot.attachment(link_name) is not None:
        return True
    if origin_of(link_name) == snapshot.own.cloud_id:
        return bool(claims(snapshot, link_name))
    return Receiver(snapshot, link_name).intent == "Replicate"


def _network_facts(backends: Backends, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    if origin_of(link_name) == snapshot.own.cloud_id:
        return origin_facts(backends.cloud, snapshot, link_name)
    return receiver_facts(backends.cloud, snapshot, link_name)
