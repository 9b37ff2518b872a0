"""The plan of one peer: create its namespace and account, publish our PeerLink; remove all on deletion."""

from __future__ import annotations

from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.actions import (
    Action,
    ApplyManifest,
    ApplyObject,
    DeleteNamespace,
    DeleteObject,
    Plan,
    Problem,
    SetFinalizers,
)
from isthmus.model.api.objects import ObjectMeta, finalizers_with, finalizers_without
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.reasons import Reason
from isthmus.model.text import listed

from .credentials import Account
from .drain import drain_of
from .namespace import Manifest, account_manifests, is_ours, is_superset, is_terminating, namespace_manifest
from .peer import identity_problem, is_invited, local_peer_link, policy_of
from .policy import policy_problem


def plan_peer(snapshot: Snapshot, peer: CloudPeer, account: Account) -> Plan:
    """The next actions for one CloudPeer; empty if there is nothing to do."""
    if peer.metadata.deletion_timestamp:
        return _removal(snapshot, peer)
    if identity_problem(snapshot, peer) is not None:
        return Plan()
    if names.FINALIZER not in peer.metadata.finalizers:
        return Plan((SetFinalizers(peer, finalizers_with(peer, names.FINALIZER)),))
    cloud_id = peer.spec.cloud_id
    if namespace_problem(snapshot, peer) is not None:
        return Plan()
    if names.peer_namespace(cloud_id) not in snapshot.namespaces:
        return Plan((ApplyManifest(namespace_manifest(cloud_id)),))
    missing = tuple(ApplyManifest(m) for m in account_manifests(cloud_id) if not is_superset(account.get(_key(m)), m))
    return Plan(missing + _publication(snapshot, peer))


def namespace_problem(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """Why the peer's namespace cannot be used; None also if it does not exist yet."""
    name = names.peer_namespace(peer.spec.cloud_id)
    namespace = snapshot.namespaces.get(name)
    if namespace is None:
        return None
    if not is_ours(namespace, peer.spec.cloud_id):
        return Problem(
            Reason.NAMESPACE_NOT_MANAGED, f"namespace {name} exists but is not managed by Isthmus: delete it"
        )
    if is_terminating(namespace):
        return Problem(Reason.NAMESPACE_TERMINATING, f"namespace {name} is still being deleted")
    return None


def removal_problem(snapshot: Snapshot, peer: CloudPeer) -> Problem | None:
    """What a CloudPeer that is being deleted waits for; None if its namespace can be deleted."""
    cloud_id = peer.spec.cloud_id
    connected = snapshot.attachments_with(cloud_id)
    if connected:
        return Problem(Reason.WITHDRAWING, f"networks still connected to the peer: {listed(connected, at_most=5)}")
    links = snapshot.unreleased_links_to(cloud_id)
    if links and not _forgotten(peer):
        return Problem(
            Reason.WAITING_FOR_RELEASE,
            f"{len(links)} withdrawn networks wait to be released by the peer ({listed(links, at_most=5)}); "
            f"if the peer is gone for good, annotate the CloudPeer with {names.FORGET_ANNOTATION}=true",
        )
    return None


def _publication(snapshot: Snapshot, peer: CloudPeer) -> tuple[Action, ...]:
    """Publish our PeerLink if it changed and the IPsecPolicy that it needs exists and can be offered; nothing for a
    peer that is only invited.
    """
    policy = policy_of(snapshot, peer)
    if policy is None or is_invited(peer) or policy_problem(policy) is not None:
        return ()
    drain = drain_of(snapshot, peer)
    wanted = local_peer_link(snapshot, peer, policy).model_copy(update={"drain": drain})
    published = snapshot.peerlink(peer.spec.cloud_id)
    if published is not None and published.spec == wanted:
        return ()
    metadata = ObjectMeta(
        name=snapshot.own.cloud_id,
        namespace=names.peer_namespace(peer.spec.cloud_id),
        labels={names.PEER_LABEL: peer.spec.cloud_id},
    )
    return (ApplyObject(PeerLink(metadata=metadata, spec=wanted)),)


def _removal(snapshot: Snapshot, peer: CloudPeer) -> Plan:
    """Wait for the links, which their own plans withdraw; then delete the namespace, then our finalizer."""
    if names.FINALIZER not in peer.metadata.finalizers:
        return Plan()
    if removal_problem(snapshot, peer) is not None:
        return Plan()
    unreleased = (snapshot.link(peer.spec.cloud_id, name) for name in snapshot.unreleased_links_to(peer.spec.cloud_id))
    forgotten = tuple(DeleteObject(link) for link in unreleased if link is not None)
    if forgotten:
        return Plan(forgotten)
    name = names.peer_namespace(peer.spec.cloud_id)
    namespace = snapshot.namespaces.get(name)
    if namespace is not None and is_ours(namespace, peer.spec.cloud_id):
        return Plan() if is_terminating(namespace) else Plan((DeleteNamespace(name, namespace["metadata"].get("uid")),))
    return Plan((SetFinalizers(peer, finalizers_without(peer, names.FINALIZER)),))


def _forgotten(peer: CloudPeer) -> bool:
    return peer.metadata.annotations.get(names.FORGET_ANNOTATION) == "true"


def _key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]
