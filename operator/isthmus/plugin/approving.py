"""`kubectl isthmus approve` and `refuse`: decisions about single networks that peers offer."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from isthmus.model.text import printable

from .core.answer import Answer, ExitCode
from .core.offers import KINDS, Offered, manifest, named, offered
from .core.refusals import Misused, Refused
from .core.tables import Style, table
from .kubectl import Kubectl, NotRead

_COLUMNS: Final = ("NETWORK", "NAME", "PROJECT", "PEER", "SUBNETS")
_MAX_REASON_LENGTH: Final = 1024  # of a Remark
_DONE: Final = {"Accept": "approved", "Refuse": "refused"}


def approve(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Let the networks be replicated; without one, list what awaits a decision."""
    offers = _offers(kubectl, chosen.namespace or "")
    if not chosen.network:
        return listed("approve", offers)
    return _decide(kubectl, "approve", offers, [(network, "Accept", "") for network in named(offers, chosen.network)])


def refuse(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Refuse the networks, and disconnect accepted ones if that is said; without one, list what awaits a decision."""
    reason = _checked(chosen.reason)
    if reason is not None and not chosen.network:
        raise Misused("--reason is about the networks that are refused: name them")
    offers = _offers(kubectl, chosen.namespace or "")
    if not chosen.network:
        return listed("refuse", offers)
    networks = named(offers, chosen.network)
    stretched = [network for network in networks if network.is_accepted and network.decision != "Refuse"]
    if stretched and not chosen.disconnect:
        raise Refused(
            f"accepted already: {', '.join(network.label for network in stretched)}; a refusal disconnects the "
            "machines there at once: if that is meant, add --disconnect"
        )
    return _decide(kubectl, "refuse", offers, [(network, "Refuse", _message(network, reason)) for network in networks])


def _checked(reason: str | None) -> str | None:
    if reason is None or (len(reason) <= _MAX_REASON_LENGTH and printable(reason) == reason):
        return reason
    raise Misused(f"--reason must be one line of at most {_MAX_REASON_LENGTH} printable characters")


def _message(network: Offered, reason: str | None) -> str:
    """What the tenant at the origin reads: what is said already, if the refusal is not new and says nothing else."""
    if reason is not None:
        return reason
    return network.message if network.decision == "Refuse" else ""


def _offers(kubectl: Kubectl, namespace: str) -> tuple[Offered, ...]:
    """All offers of one peer's namespace, or of all. Raises NotRead."""
    reading = kubectl.get(KINDS, namespace).result()
    if reading.unread:
        hint = "" if namespace else "; with rights for one peer, name its namespace: -n isthmus-peer-CLOUD"
        raise NotRead.of(reading.unread, hint)
    return offered(reading.items)


def _decide(
    kubectl: Kubectl, verb: str, offers: Sequence[Offered], decisions: Sequence[tuple[Offered, str, str]]
) -> Answer:
    """Write what is not decided so already: all of it, or nothing if the API server refuses any."""
    changes = [
        (network, decision, message)
        for network, decision, message in decisions
        if (network.decision, network.message) != (decision, message)
    ]
    if changes:
        manifests = [manifest(*change) for change in changes]
        kubectl.apply(manifests, dry_run=True)
        kubectl.apply(manifests)
    changed = {network.name for network, _, _ in changes}
    documents = [
        network.to_document() | {"decision": decision, "message": message, "changed": network.name in changed}
        for network, decision, message in decisions
    ]
    left = [network.to_document() for network in offers if network.is_awaiting and network.name not in changed]
    lines = [
        f"{network.label} {'is' if network.name in changed else 'was'} {_DONE[decision]}"
        + ("." if network.name in changed else " already.")
        for network, decision, _ in decisions
    ]
    return Answer(verb, ExitCode.FINE, {"networks": documents, "awaiting": left}, lambda _: lines)


def listed(verb: str, offers: Sequence[Offered]) -> Answer:
    """What awaits a decision."""
    networks = [network for network in offers if network.is_awaiting]

    def text(style: Style) -> list[str]:
        rows = [
            (n.network_id, n.network_name, n.project_name, n.cloud_id, " ".join(n.subnets) or "-") for n in networks
        ]
        return table(_COLUMNS, rows, style) if rows else ["no network awaits a decision"]

    awaiting = [network.to_document() for network in networks]
    return Answer(verb, ExitCode.FINE, {"networks": [], "awaiting": awaiting}, text)


VERBS = {"approve": approve, "refuse": refuse}
