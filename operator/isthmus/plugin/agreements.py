"""`kubectl isthmus revoke`, `forget`, `drain`, `cordon` and `uncordon`: the end and the state of an agreement."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from isthmus.model import names

from . import cluster, terminal
from .core.answer import Answer, ExitCode
from .core.bundles.known import KnownPeer, peer_named
from .core.bundles.manifests import draining, transition
from .core.bundles.numbers import ranged
from .core.refusals import Refused
from .kubectl import Kubectl

MAX_GRACE_SECONDS = 2_592_000


def cordon(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """What is stretched stays, and nothing new is offered or accepted."""
    return _set_state(kubectl, "cordon", chosen.peer, "Cordoned")


def uncordon(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """New networks may be stretched again."""
    return _set_state(kubectl, "uncordon", chosen.peer, "Active")


def drain(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """All networks are disconnected at a deadline, before which nothing new is offered or accepted."""
    grace_seconds = None if chosen.grace is None else ranged("--grace", chosen.grace, 1, MAX_GRACE_SECONDS)
    found = _changeable(kubectl, chosen.peer)
    lost = [
        f"What is stretched to {found.cloud_id} ends at the deadline: {cluster.network_text(found)}.",
        f"Until then it can be called off: kubectl isthmus uncordon {found.name}. Replicas stay while machines are on",
        "them.",
    ]
    terminal.confirm(lost, f"Drain {found.cloud_id}?", chosen.yes)
    is_changed = found.state != "Drained" or grace_seconds is not None
    if is_changed:
        kubectl.patch("cloudpeer", found.name, draining(found.state, grace_seconds))
    document = {"peer": found.name, "state": "Drained", "changed": is_changed, "graceSeconds": grace_seconds}
    return _answer("drain", document, [f"{found.name} is Drained: kubectl isthmus peers says until when."])


def revoke(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """End an agreement or an invitation; or only void every credential that the peer has from us."""
    seconds = ranged("--timeout", chosen.timeout, 60, 3600)
    if chosen.credential:
        return _revoke_credential(kubectl, chosen)
    peers = cluster.all_peers(kubectl)
    if chosen.peer not in {peer.name for peer in peers} and cluster.is_known_by_secrets(kubectl, chosen.peer):
        return _ended("revoke", chosen.peer, cluster.delete_secrets(kubectl, None, chosen.peer, peers))
    found = peer_named(peers, chosen.peer)
    if found.state != "Invited" and not found.is_terminating:
        lost = [
            f"The agreement with {found.cloud_id} ends: {cluster.network_text(found)}.",
            "Their machines lose the connection, and the replicas of its networks here are deleted when no machine is",
            "left on them. Its credential ends, and our key and our credential for it are deleted.",
        ]
        terminal.confirm(lost, f"End the agreement with {found.cloud_id}?", chosen.yes)
    return _remove(kubectl, "revoke", found, peers, seconds)


def forget(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """End an agreement with a peer that is gone for good, without waiting for its confirmation."""
    seconds = ranged("--timeout", chosen.timeout, 60, 3600)
    if chosen.network is not None:
        return _forget_network(kubectl, chosen)
    peers = cluster.all_peers(kubectl)
    found = peer_named(peers, chosen.peer)
    lost = [
        f"The agreement with {found.cloud_id} ends without its confirmation: {cluster.network_text(found)}.",
        "If that cloud still exists, it may keep replicas of our networks, and addresses may be used twice.",
    ]
    terminal.confirm(lost, f"Forget {found.cloud_id}?", chosen.yes)
    cluster.forget(kubectl, found.name)
    return _remove(kubectl, "forget", found, peers, seconds)


def _forget_network(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Wait no longer for the peer's release of one network."""
    found, link = cluster.peer(kubectl, chosen.peer), chosen.network
    state = cluster.state_of_link(kubectl, found.cloud_id, link)
    if state != "Withdrawn":
        why = f"is {state}, and only what is withdrawn can be forgotten" if state else "does not exist"
        raise Refused(f"ExpansionLink {link} for {found.cloud_id} {why}")
    lost = [
        f"{found.cloud_id} has not confirmed that {link} is disconnected, and may keep its replica. Addresses may be",
        "used twice. The network is then listed in status.orphans of the CloudPeer, until the peer has released it.",
    ]
    terminal.confirm(lost, f"Forget {link}?", chosen.yes)
    cluster.forget_link(kubectl, found.cloud_id, link)
    return _answer("forget", {"peer": found.name, "forgotten": link}, [f"{link} is no longer waited for."])


def _remove(kubectl: Kubectl, verb: str, found: KnownPeer, peers: Sequence[KnownPeer], seconds: int) -> Answer:
    """Delete the CloudPeer, wait for its end, and then delete the Secrets, which its end needs."""
    kubectl.run("delete", "cloudpeer", found.name, "--ignore-not-found", "--wait=false")
    remaining = cluster.wait_until_gone(kubectl, found.name, seconds)
    if remaining is not None:
        why = remaining.message or "the controller has not reported why"
        raise Refused(f"{found.name} is still being removed: {why}; to go on waiting, run the command again")
    others = [peer for peer in peers if peer is not found]
    return _ended(verb, found.name, cluster.delete_secrets(kubectl, found, found.cloud_id, others))


def _revoke_credential(kubectl: Kubectl, chosen: Namespace) -> Answer:
    found = cluster.peer(kubectl, chosen.peer)
    lost = [
        f"Every credential that {found.cloud_id} has for our API server ends now. What is stretched stays, but no",
        "change is seen there, until its administrator has a new one: isthmus peer-kubeconfig.",
    ]
    terminal.confirm(lost, f"Revoke the credentials of {found.cloud_id}?", chosen.yes)
    namespace = names.peer_namespace(found.cloud_id)
    kubectl.run("delete", "serviceaccount", names.PEER_ACCOUNT, "-n", namespace, "--ignore-not-found")
    document = {"peer": found.name, "revoked": "credential"}
    return _answer("revoke", document, [f"The credentials of {found.cloud_id} are void."])


def _changeable(kubectl: Kubectl, name: str) -> KnownPeer:
    """The peer, if the state of its agreement can be changed. Raises Refused."""
    found = cluster.peer(kubectl, name)
    if found.state == "Invited":
        raise Refused(f"{name} is only invited, and nothing is offered to it or accepted from it")
    if found.is_terminating:
        raise Refused(f"CloudPeer {name} is being deleted")
    return found


def _set_state(kubectl: Kubectl, verb: str, name: str, state: str) -> Answer:
    found = _changeable(kubectl, name)
    is_changed = found.state != state
    if is_changed:
        kubectl.patch("cloudpeer", name, transition(found.state, state))
    document = {"peer": name, "state": state, "changed": is_changed}
    return _answer(verb, document, [f"{name} is {state}." if is_changed else f"{name} was {state} already."])


def _ended(verb: str, name: str, deleted: Sequence[str]) -> Answer:
    lines = [f"{name} is removed.", *(f"Deleted Secret {secret}." for secret in deleted)]
    return _answer(verb, {"peer": name, "deletedSecrets": list(deleted)}, lines)


def _answer(verb: str, document: dict[str, Any], lines: Sequence[str]) -> Answer:
    return Answer(verb, ExitCode.FINE, document, lambda _: list(lines))


VERBS = {"cordon": cordon, "uncordon": uncordon, "drain": drain, "revoke": revoke, "forget": forget}
