"""Admission of requests: whether a tenant may stretch a network, to which peers, and which expansion owns it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from isthmus.core.federation.agreement import Disagreement
from isthmus.core.federation.drain import is_past_deadline
from isthmus.core.federation.peer import agreement_with, identity_problem, remote_peer_link
from isthmus.core.network.remote_link import origin_of
from isthmus.core.network.subnet_rules import subnet_problem
from isthmus.core.network.tunnel_ids import next_tunnel_id
from isthmus.core.placement.gateways import gateways
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.attachment import MAX_POOLS
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import MAX_SUBNETS
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.facts.openstack import Network, NetworkFacts, Subnet
from isthmus.model.reasons import Reason
from isthmus.model.types import MINIMUM_IPV6_MTU, MINIMUM_MTU

from .layer2 import layer2_problem


@dataclass(frozen=True)
class PeerRequest:
    """The request for one peer of an expansion. A problem prevents a new offer; an existing one stays unless stated."""

    name: str
    peer: CloudPeer | None = None
    problem: Problem | None = None
    withdraws_offer: bool = False
    """The problem also withdraws an existing offer."""

    @property
    def cloud_id(self) -> str | None:
        """Cloud ID of the peer; None if there is no valid CloudPeer."""
        return self.peer.spec.cloud_id if self.peer else None


def project_of(snapshot: Snapshot, expansion: NetworkExpansion) -> str | None:
    """ID of the project that an administrator bound the expansion's namespace to; None if it is not bound."""
    namespace = snapshot.namespaces.get(expansion.metadata.namespace or "", {"metadata": {}})
    project = namespace["metadata"].get("annotations", {}).get(names.PROJECT_ANNOTATION)
    return str(project) if project else None


def request_problem(snapshot: Snapshot, expansion: NetworkExpansion) -> Problem | None:
    """Why the request is not even considered, so that OpenStack need not be asked; None if it is."""
    if project_of(snapshot, expansion) is None:
        return Problem(
            Reason.NAMESPACE_NOT_BOUND,
            f"namespace {expansion.metadata.namespace} is not bound to a project: an administrator has to annotate it "
            f"with {names.PROJECT_ANNOTATION}",
        )
    link_name = names.link_name(snapshot.own.cloud_id, expansion.spec.network_id)
    if snapshot.attachment(link_name) is None and not snapshot.is_within_limit(expansion):
        return Problem(
            Reason.TOO_MANY_EXPANSIONS,
            f"namespace {expansion.metadata.namespace} has more than {snapshot.own.expansions_per_namespace} "
            "NetworkExpansions; this one is considered once others are deleted",
        )
    return None


def admission_problem(snapshot: Snapshot, expansion: NetworkExpansion, facts: NetworkFacts) -> Problem | None:
    """Why this tenant may not stretch the network; None if it may.

    The network's own properties are only checked before it is stretched: later changes by the tenant do not end it.
    """
    unconsidered = request_problem(snapshot, expansion)
    if unconsidered is not None:
        return unconsidered
    network, project = facts.network, project_of(snapshot, expansion)
    # The same answer whether the network does not exist or is not the tenant's, so as not to disclose which IDs exist.
    if network is None or network.project_id != project:
        return Problem(Reason.NETWORK_NOT_FOUND, f"project {project} has no network {expansion.spec.network_id}")
    link_name = names.link_name(snapshot.own.cloud_id, network.id)
    started = any(link.spec.state == "Active" for link in snapshot.links_of(link_name))
    return None if started else _replica_problem(snapshot, network) or _network_problem(network, facts)


def stretchable(subnets: Collection[Subnet], known: Collection[str]) -> tuple[Subnet, ...]:
    """The subnets that can be stretched, bounded by what an offer can hold; those in `known` (IDs) take precedence."""
    fit = [s for s in subnets if s.id in known or _subnet_problem(s) is None]
    kept = {s.id for s in sorted(fit, key=lambda s: s.id not in known)[:MAX_SUBNETS]}
    return tuple(s for s in fit if s.id in kept)


def _replica_problem(snapshot: Snapshot, network: Network) -> Problem | None:
    """A replica is stretched by its origin alone: nobody else knows all members, and two ways would be a loop."""
    replicated = snapshot.network_of_replica(network)
    if replicated is None:
        return None
    origin = origin_of(replicated)
    return Problem(
        Reason.NETWORK_IS_REPLICA,
        f"network {network.name} is this cloud's replica of a network of {origin}: only {origin} can stretch it to "
        "more clouds, by the NetworkExpansion there",
    )


def _network_problem(network: Network, facts: NetworkFacts) -> Problem | None:
    name, obstacle = network.name, layer2_problem(facts)
    if obstacle is not None:
        return Problem(Reason.NETWORK_NOT_STRETCHABLE, f"network {name} {obstacle}")
    if not facts.subnets:
        return Problem(Reason.NO_SUBNET, f"network {name} has no subnet: create one")
    return _size_problem(network, facts)


def _subnet_problem(subnet: Subnet) -> str | None:
    """Why one subnet cannot be stretched, in words that follow its CIDR; None if it can."""
    if subnet.prefix_is_delegated:
        return "its prefix is delegated to Neutron (subnet pool prefix_delegation), and may change"
    if len(subnet.pools) > MAX_POOLS:
        return f"more than {MAX_POOLS} allocation pools"
    return (
        subnet_problem(subnet.cidr, subnet.gateway_ip, subnet.address_mode)
        if subnet.pools_are_known
        else "unknown allocation pools"
    )


def _size_problem(network: Network, facts: NetworkFacts) -> Problem | None:
    """Why the network exceeds the bounds of an offer or of the record."""
    minimum = MINIMUM_IPV6_MTU if any(subnet.ip_version == 6 for subnet in facts.subnets) else MINIMUM_MTU
    if network.mtu < minimum:
        return Problem(Reason.UNSUPPORTED_MTU, f"network {network.name} has MTU {network.mtu}; set {minimum} or more")
    if len(facts.subnets) > MAX_SUBNETS:
        return Problem(
            Reason.UNSUPPORTED_SUBNET,
            f"network {network.name} has {len(facts.subnets)} subnets, of at most {MAX_SUBNETS}",
        )
    problems = ((subnet.cidr, problem) for subnet in facts.subnets if (problem := _subnet_problem(subnet)) is not None)
    first = next(problems, None)
    return Problem(Reason.UNSUPPORTED_SUBNET, f"subnet {first[0]}: {first[1]}") if first else None


def claims(snapshot: Snapshot, link_name: str) -> tuple[NetworkExpansion, ...]:
    """All expansions of one network of ours, in order of claim precedence."""
    return snapshot.expansions_of(link_name)


def owner_of(snapshot: Snapshot, link_name: str, facts: NetworkFacts) -> NetworkExpansion | None:
    """The expansion that owns a network: of the admitted ones that with our finalizer, else the first by precedence.

    If none is admitted any more, one with our finalizer, which is still to be released. The finalizer alone gives no
    right: any tenant can write it into an expansion of another tenant's network.
    """
    claimed = claims(snapshot, link_name)
    admitted = [e for e in claimed if admission_problem(snapshot, e, facts) is None]
    held = [e for e in admitted if names.FINALIZER in e.metadata.finalizers]
    free = [e for e in admitted if not e.metadata.deletion_timestamp]
    ending = [e for e in claimed if names.FINALIZER in e.metadata.finalizers]
    return next(iter((*held, *free, *ending)), None)


def peer_requests(snapshot: Snapshot, expansion: NetworkExpansion, link_name: str) -> tuple[PeerRequest, ...]:
    """The requests of an expansion, one for each peer, with what prevents them."""
    project = project_of(snapshot, expansion)
    return tuple(_peer_request(snapshot, reference.name, project, link_name) for reference in expansion.spec.peers)


def may_start(snapshot: Snapshot, expansion: NetworkExpansion, link_name: str) -> bool:
    """Whether the network may be stretched to any peer as far as that is decided without OpenStack."""
    if expansion.metadata.deletion_timestamp or request_problem(snapshot, expansion) is not None:
        return False
    return any(request.problem is None for request in peer_requests(snapshot, expansion, link_name))


def _peer_request(snapshot: Snapshot, name: str, project: str | None, link_name: str) -> PeerRequest:
    peer = snapshot.get(CloudPeer, name)
    if peer is None:
        return PeerRequest(
            name, problem=Problem(Reason.PEER_NOT_FOUND, f"CloudPeer {name} does not exist"), withdraws_offer=True
        )
    if snapshot.peer_of(peer.spec.cloud_id) != peer:
        return PeerRequest(name, problem=identity_problem(snapshot, peer), withdraws_offer=True)
    if peer.metadata.deletion_timestamp:
        return PeerRequest(
            name,
            peer,
            Problem(Reason.PEER_TERMINATING, f"CloudPeer {name} is being deleted: remove it from spec.peers"),
            withdraws_offer=True,
        )
    allowed = peer.spec.agreement.allowed_projects
    if allowed is not None and project not in allowed:
        return PeerRequest(
            name,
            peer,
            Problem(Reason.PROJECT_NOT_ALLOWED, f"CloudPeer {name} does not allow project {project}"),
            withdraws_offer=True,
        )
    if is_past_deadline(snapshot, peer.spec.cloud_id):
        ended = Problem(Reason.DRAINED, f"this cloud has ended its agreement with {name}: remove it from spec.peers")
        return PeerRequest(name, peer, ended, withdraws_offer=True)
    link = snapshot.link(peer.spec.cloud_id, link_name)
    if link is not None and link.spec.state == "Withdrawn":
        waiting = Problem(Reason.WAITING_FOR_RELEASE, f"waiting for {name} to release the previously withdrawn network")
        return PeerRequest(name, peer, waiting, withdraws_offer=True)
    return PeerRequest(name, peer, None if link is not None else _start_problem(snapshot, peer))


def _start_problem(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """Why no new offer can be made to this peer now."""
    name = peer.metadata.name
    problem = identity_problem(snapshot, peer)
    if problem is not None:
        return problem
    if peer.spec.agreement.takes_nothing_new:
        state = "drained" if peer.spec.agreement.state == "Drained" else "cordoned"
        return Problem(Reason.CORDONED, f"the agreement with {name} is {state}: nothing new is offered")
    agreement, remote_link = agreement_with(snapshot, peer), remote_peer_link(snapshot, peer)
    if agreement is None or remote_link is None:
        return Problem(Reason.WAITING_FOR_AGREEMENT, f"no agreement with {name} yet: see CloudPeer {name}")
    if isinstance(agreement, Disagreement):
        return Problem(agreement.reason, agreement.message)
    if remote_link.spec.state == "Cordoned":
        return Problem(
            Reason.PEER_CORDONED, f"{name} has cordoned its agreement with this cloud and accepts nothing new"
        )
    if snapshot.is_tunnel_id_unknown(peer.spec.cloud_id):
        text = f"an ExpansionLink for {name} is not understood, and its tunnel ID not known: see the controller's log"
        return Problem(Reason.NOT_UNDERSTOOD, text)
    if next_tunnel_id(snapshot, peer) is None:
        return Problem(
            Reason.TUNNEL_IDS_EXHAUSTED,
            f"our tunnel IDs of the range agreed with {name} are exhausted: enlarge it in both clouds",
        )
    if not any(gateway.usable for gateway in gateways(snapshot)):
        return Problem(Reason.NO_GATEWAY_NODE, "no gateway node of this cloud is ready")
    return None
