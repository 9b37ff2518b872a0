"""`kubectl isthmus uninstall`: withdraws everything, then removes Isthmus itself. It may be interrupted anywhere."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from isthmus.model import names

from . import cluster, helm, terminal
from .core import leases, resources
from .core.answer import Answer
from .core.bundles.numbers import ranged
from .core.documents import Document
from .core.leases import Lease
from .core.refusals import Refused
from .core.removal import installation
from .core.removal.installation import Installation, Kept
from .core.removal.left import KINDS, Left, Remaining, Stage, left
from .core.removal.steps import Delete, Forget, hanging, require_controller, require_not_restored, steps, summary
from .kubectl import Kubectl, NotServed

_POLL_SECONDS: Final = 0.5
# An agent has reported that it has no connections, and removes the last of what it had on its node.
_SETTLE_SECONDS: Final = 2.0


def uninstall(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Networks, peers, the release, and last, if that is wanted, definitions and keys."""
    seconds = ranged("--timeout", chosen.timeout, 300, 3600)
    plurals = _plurals(kubectl)
    items = _items(kubectl, plurals)
    remaining = left(items)
    installed = _installation(kubectl, chosen)
    has_helm = helm.is_usable(chosen)
    if remaining.all or not installed.is_absent:
        if remaining.all:
            require_controller(remaining, _processes(kubectl))
        forget = bool(chosen.forget_unreachable)
        cloud_id = resources.cloud(items).cloud_id
        lines = summary(cloud_id, remaining, installed.text(has_helm=has_helm), forget_unreachable=forget)
        terminal.confirm(lines, "Uninstall Isthmus?", chosen.yes)
    removed = _withdraw(kubectl, plurals, seconds, forget_unreachable=chosen.forget_unreachable)
    if installed.release and has_helm:
        terminal.report(f"uninstalling Helm release {installed.namespace}/{installed.release}")
        helm.uninstall(chosen, installed.release, installed.namespace, seconds)
        removed.append(f"Helm release {installed.namespace}/{installed.release}")
        installed = Installation()
    if not installed.is_absent:  # what uses keys and definitions must go first
        return installation.uninstalled(removed, Kept((), {}), (), installed.commands)
    kept = _kept(kubectl)
    if not kept.lines:
        return installation.uninstalled(removed, kept, (), ())
    if not _may_delete(chosen, kept):
        return installation.uninstalled(removed, kept, (), kept.commands)
    return installation.uninstalled(removed, kept, _delete_kept(kubectl, kept, seconds), ())


def _plurals(kubectl: Kubectl) -> list[str]:
    """Our kinds that are defined: some of them are not any more if an earlier run was interrupted. Raises NotServed."""
    served = installation.served(kubectl.find("crd", *installation.DEFINITIONS))
    for versions in served.values():
        if names.VERSION not in versions:
            raise NotServed(versions)
    return [plural for plural in KINDS if plural in served]


def _items(kubectl: Kubectl, plurals: Sequence[str]) -> tuple[Document, ...]:
    """All objects of these kinds."""
    return kubectl.get(plurals).complete() if plurals else ()


def _processes(kubectl: Kubectl) -> dict[str, Lease]:
    return leases.leases(kubectl.get_leases(names.SYSTEM_NAMESPACE).complete(), datetime.now(UTC))


def _installation(kubectl: Kubectl, chosen: Namespace) -> Installation:
    return Installation.parse(kubectl.find("clusterroles", *installation.ROLES), chosen.release)


def _withdraw(kubectl: Kubectl, plurals: Sequence[str], seconds: int, *, forget_unreachable: bool) -> list[str]:
    """Delete networks, then peers, and wait until nothing is in use; returns what has gone. Raises Refused."""
    removed: list[str] = []
    before = left(_items(kubectl, plurals))
    ends_at, settled_at, reading_seconds = time.monotonic() + seconds, None, 0.0
    while True:
        require_not_restored(before, removed)
        for step in steps(before, forget_unreachable=forget_unreachable):
            _take(kubectl, step)
        if before.stage is Stage.NOTHING:
            settled_at = settled_at or time.monotonic() + (_SETTLE_SECONDS if removed else 0)
            if time.monotonic() >= settled_at:
                return removed
        else:
            settled_at = None
            if time.monotonic() > ends_at:
                raise hanging(before, _processes(kubectl), seconds)
        time.sleep(max(_POLL_SECONDS, reading_seconds))
        began_at = time.monotonic()
        now = left(_items(kubectl, plurals))
        reading_seconds = time.monotonic() - began_at  # many objects are not read all the time
        if gone := _gone(before, now):
            ends_at = time.monotonic() + seconds
            removed += [each.label for each in gone if each.kind != "GatewayNode"]
        before = now


def _gone(before: Left, now: Left) -> list[Remaining]:
    """What has disappeared. What users have created is reported, and nodes; the rest follows from it."""
    remaining = {each.label for each in now.all}
    gone = [each for each in before.all if each.label not in remaining]
    for each in gone:
        if each.kind in ("NetworkExpansion", "CloudPeer"):
            terminal.report(f"{each.label}: withdrawn")
        if each.kind == "GatewayNode":
            terminal.report(f"{each.label}: no connection is left")
    return gone


def _take(kubectl: Kubectl, step: Delete | Forget) -> None:
    if isinstance(step, Forget):
        terminal.report(f"CloudPeer {step.name}: forgetting, for it is not reachable")
        cluster.forget(kubectl, step.name)
        return
    plural = next(plural for plural, kind in KINDS.items() if kind == step.kind)
    where = ("-n", step.namespace) if step.namespace else ()
    for name in step.names:
        terminal.report(f"{step.kind} {step.namespace + '/' if step.namespace else ''}{name}: withdrawing")
    kubectl.run("delete", f"{plural}.{names.GROUP}", *step.names, *where, "--ignore-not-found", "--wait=false")


def _kept(kubectl: Kubectl) -> Kept:
    """Definitions and namespaces that still exist, with the names of the Secrets, whose contents are not read."""
    definitions = kubectl.find("crd", *installation.DEFINITIONS)
    found = {namespace["metadata"]["name"] for namespace in kubectl.find("namespaces", *installation.NAMESPACES)}
    namespaces: Mapping[str, tuple[str, ...]] = {
        name: tuple(
            line.removeprefix("secret/") for line in kubectl.run("get", "secrets", "-n", name, "-o", "name").split()
        )
        for name in installation.NAMESPACES
        if name in found
    }
    return Kept(tuple(item["metadata"]["name"] for item in definitions), namespaces)


def _may_delete(chosen: Namespace, kept: Kept) -> bool:
    """Asked separately: keys and credentials cannot be restored, and --yes alone does not mean them."""
    if chosen.delete_keys:
        return True
    if chosen.yes or not sys.stdin.isatty():
        return False
    lines = ["What Helm keeps, because it is yours:", *kept.lines]
    return terminal.ask(lines, "Delete this, too, with all keys and credentials?")


def _delete_kept(kubectl: Kubectl, kept: Kept, seconds: int) -> list[str]:
    """Delete definitions and namespaces, and wait for their end; nothing if an object is in use again."""
    remaining = left(_items(kubectl, _plurals(kubectl)))
    if remaining.all:
        raise Refused(f"{remaining.all[0].label} was created meanwhile: run the command again")
    if kept.definitions:
        kubectl.run("delete", "crd", *kept.definitions, "--ignore-not-found", "--wait=false")
    if kept.namespaces:
        kubectl.run("delete", "namespace", *kept.namespaces, "--ignore-not-found", "--wait=false")
    ends_at = time.monotonic() + seconds
    while found := _ending(kubectl, "crd", kept.definitions) or _ending(kubectl, "namespace", list(kept.namespaces)):
        if time.monotonic() > ends_at:
            raise Refused(f"{found} is still being deleted after {seconds} s: see kubectl describe {found}")
        time.sleep(_POLL_SECONDS)
    return [
        *(f"CustomResourceDefinition {name}" for name in kept.definitions),
        *map("Namespace {}".format, kept.namespaces),
    ]


def _ending(kubectl: Kubectl, kind: str, wanted: Collection[str]) -> str:
    """One of them that still exists."""
    found = kubectl.find(kind, *wanted) if wanted else []
    return f"{kind} {found[0]['metadata']['name']}" if found else ""


VERBS = {"uninstall": uninstall}
