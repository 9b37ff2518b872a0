"""What is planned and judged on its own, so that the trouble of one network or peer is not that of any other."""

from __future__ import annotations

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
from isthmus.core.network.remote_link import names_network_of, origin_of
from isthmus.core.placement.gateway_nodes import plan_gateway_nodes
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.actions import Plan, Problem
from isthmus.model.api.objects import CustomObject
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.facts.openstack import NetworkFacts

from .backends import Backends
from .facts import Facts, origin_facts, peer_account, receiver_facts

_EXTRA_REFUSED_OFFERS = 16  # a peer reads as many even where it may have no network at all


class Scope(Protocol):
    """One thing that is planned on its own."""

    @property
    def name(self) -> str: ...

    def plan(self, snapshot: Snapshot) -> Plan:
        """What to do now."""
        ...

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """What to publish where the plan failed."""
        ...

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """Its objects with the status that they should have."""
        ...

    def is_fresh(self) -> bool:
        """Whether its plan was made of facts that are good enough to act on."""
        ...

    def invalidate(self) -> None:
        """Ask for the facts again."""
        ...


class AllFacts:
    """Everything asked of OpenStack and of the peers' namespaces, kept from one cycle to the next."""

    def __init__(self, backends: Backends) -> None:
        self.networks: Facts[NetworkFacts] = Facts(lambda snapshot, name: _network_facts(backends, snapshot, name))
        self.accounts: Facts[Account] = Facts(lambda _, cloud_id: peer_account(backends.cluster, cloud_id))

    def begin_cycle(self, *, resync: bool) -> None:
        """Time has passed."""
        self.networks.begin_cycle(resync=resync)
        self.accounts.begin_cycle(resync=resync)


@dataclass(frozen=True)
class GatewayNodes:
    """The GatewayNode objects."""

    name: str = "gateway nodes"

    def plan(self, snapshot: Snapshot) -> Plan:
        """Those of the labelled nodes."""
        return plan_gateway_nodes(snapshot)

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: no peer waits for them."""
        return Plan()

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """None: they are the agents'."""
        return ()

    def is_fresh(self) -> bool:
        """There are no facts besides the snapshot."""
        return True

    def invalidate(self) -> None:
        """There is nothing to ask for."""


@dataclass(frozen=True)
class Peer:
    """One CloudPeer."""

    name: str
    cloud_id: str
    facts: AllFacts

    def plan(self, snapshot: Snapshot) -> Plan:
        """Its namespace, its account, our half."""
        peer = snapshot.get(CloudPeer, self.name)
        if peer is None:
            return Plan()
        return plan_peer(snapshot, peer, self.facts.accounts.of(snapshot, self.cloud_id))

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """Nothing: our half says what we offer, whatever fails."""
        return Plan()

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """The CloudPeer, and our half where this CloudPeer stands for the cloud."""
        peer = snapshot.get(CloudPeer, self.name)
        if peer is None:
            return ()
        link = snapshot.peerlink(self.cloud_id) if snapshot.peer_of(self.cloud_id) == peer else None
        published = (peerlink_status(snapshot, peer, link),) if link else ()
        return (*published, peer_status(snapshot, peer, failure))

    def is_fresh(self) -> bool:
        """Whether the account was looked at since anything changed."""
        return self.facts.accounts.is_fresh(self.cloud_id)

    def invalidate(self) -> None:
        """Look at the account again."""
        self.facts.accounts.invalidate(self.cloud_id)


@dataclass(frozen=True)
class NetworkScope:
    """One network, ours or a peer's."""

    name: str
    facts: AllFacts

    def plan(self, snapshot: Snapshot) -> Plan:
        """As its origin or as its receiver."""
        if origin_of(self.name) == snapshot.own.cloud_id:
            return plan_origin(Origin(snapshot, self.name, self._facts(snapshot)))
        return plan_receiver(Receiver(snapshot, self.name, self._facts(snapshot)))

    def failure_answer(self, snapshot: Snapshot) -> Plan:
        """A peer that offers a network is not left waiting for an answer."""
        if origin_of(self.name) == snapshot.own.cloud_id:
            return Plan()
        return plan_failure_answer(Receiver(snapshot, self.name, self.facts.networks.known(self.name)))

    def statuses(self, snapshot: Snapshot, failure: Problem | None) -> tuple[CustomObject, ...]:
        """Our halves, the Attachment, the expansions."""
        facts = self.facts.networks.known(self.name)
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
        """Whether OpenStack was asked since anything changed."""
        return self.facts.networks.is_fresh(self.name)

    def invalidate(self) -> None:
        """Ask OpenStack again."""
        self.facts.networks.invalidate(self.name)

    def _facts(self, snapshot: Snapshot) -> NetworkFacts | None:
        """None where nothing in OpenStack is concerned: a tombstone, a refused offer."""
        if not _concerns_openstack(snapshot, self.name):
            self.facts.networks.forget(self.name)
            return None
        return self.facts.networks.of(snapshot, self.name)


def peer_scopes(snapshot: Snapshot, facts: AllFacts) -> tuple[Peer, ...]:
    """All CloudPeers."""
    return tuple(Peer(p.metadata.name, p.spec.cloud_id, facts) for p in snapshot.all(CloudPeer))


def network_scopes(snapshot: Snapshot, facts: AllFacts) -> tuple[NetworkScope, ...]:
    """Every network that anything is known of: wanted, published, attached, or offered by a peer."""
    found = set(snapshot.expansions)
    found |= {link.metadata.name for link in snapshot.all(ExpansionLink)}
    found |= {attachment.metadata.name for attachment in snapshot.all(Attachment)}
    for peer in snapshot.all(CloudPeer):
        found |= _new_offers(snapshot, peer)
    facts.networks.forget_others(found)
    return tuple(NetworkScope(name, facts) for name in sorted(found))


def _new_offers(snapshot: Snapshot, peer: CloudPeer) -> set[str]:
    """Offers of which we hold nothing yet, the first by name: a peer may publish more than we ever look at."""
    cloud_id = peer.spec.cloud_id
    known = {link.metadata.name for link in snapshot.links_to(cloud_id)}
    known |= {attachment.metadata.name for attachment in snapshot.all(Attachment)}
    offered = (
        name
        for name, published in view_of(snapshot, cloud_id).links.items()
        if names_network_of(name, cloud_id) and (published.spec is None or published.spec.state == "Active")
    )
    held = sum(origin_of(name) == cloud_id for name in known)
    room = max(0, 2 * peer.spec.agreement.limits.networks + _EXTRA_REFUSED_OFFERS - held)
    return set(sorted(set(offered) - known)[:room])


def _concerns_openstack(snapshot: Snapshot, link_name: str) -> bool:
    if snapshot.attachment(link_name) is not None:
        return True
    if origin_of(link_name) == snapshot.own.cloud_id:
        return bool(claims(snapshot, link_name))
    return Receiver(snapshot, link_name).intent == "Join"


def _network_facts(backends: Backends, snapshot: Snapshot, link_name: str) -> NetworkFacts:
    if origin_of(link_name) == snapshot.own.cloud_id:
        return origin_facts(backends.cloud, snapshot, link_name)
    return receiver_facts(backends.cloud, snapshot, link_name)
