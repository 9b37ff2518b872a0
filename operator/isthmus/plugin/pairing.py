"""`kubectl isthmus invite`, `join` and `accept`: two administrators agree by a file each way and a code."""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from isthmus.model import names

from . import cluster, reach, terminal
from .core.answer import Answer
from .core.bundles import answers, manifests
from .core.bundles.bundle import BadBundle, Bundle, Header, Type, open_bundle, parse, pre_shared_key, seal
from .core.bundles.cipher import NONCE_BYTES
from .core.bundles.code import PairingCode
from .core.bundles.headers import check_answer, check_invitation
from .core.bundles.known import Known, cloud_id
from .core.bundles.numbers import ranged, tunnel
from .core.bundles.terms import BadTerms, Terms, Tunnel
from .core.refusals import Misused, Refused
from .kubectl import Kubectl


@dataclass(frozen=True)
class Offer:
    """What is common to invite and join: what we are to send, and where it is to be written."""

    server: str
    authority: str
    is_own_authority: bool
    policy: str
    days: int
    expires: datetime
    path: Path


def invite(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Create the peer's account, and write the invitation."""
    peer, chosen_tunnel = cloud_id(chosen.peer), tunnel(chosen.encapsulation, chosen.tunnel_port)
    reach.check_url(chosen.server)
    authority = _named_authority(chosen)
    code = terminal.new_code(chosen.code_file, chosen.output)
    known = cluster.known(kubectl)
    if peer == known.own.cloud_id:
        raise Misused(f"{peer} is this very cloud: invite another one")
    known.require_no_peer(peer)
    offer = _offer(kubectl, chosen, known, peer, authority)
    nonce = secrets.token_bytes(NONCE_BYTES)
    header = Header(Type.INVITATION, known.own.cloud_id, peer, offer.expires, nonce, nonce)
    objects = [manifests.cloud_peer(peer, offer.policy, chosen_tunnel, header.invitation_id, None)]
    files = (offer.path, *([Path(chosen.code_file)] if chosen.code_file else []))
    with _agreed(kubectl, peer, [*_policies(known, offer.policy), *objects], files):
        if chosen.code_file:
            terminal.write_private(Path(chosen.code_file), code.text().encode() + b"\n")
        ends = _write_bundle(kubectl, known, offer, header, code, chosen_tunnel, not chosen.unchecked)
    return answers.invited(header, str(offer.path), offer.server, ends, code, chosen.code_file)


def join(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Accept an invitation: store its terms, create the peer's account, and write the answer."""
    reach.check_url(chosen.server)
    authority = _named_authority(chosen)
    bundle = _parsed(chosen.file)
    known = cluster.known(kubectl)
    received = bundle.header
    check_invitation(received, known.own.cloud_id, datetime.now(UTC))
    peer = received.sender
    known.require_no_peer(peer, received.invitation_id)
    offer = _offer(kubectl, chosen, known, peer, authority)
    code = terminal.ask_code(chosen.code_file)
    terms = _terms(open_bundle(bundle, code), peer)
    known.require_apart(peer, terms.gateway_cidrs)
    known.require_common(peer, offer.policy, terms.proposals)
    objects = [
        *manifests.secrets(known.own, peer, terms, pre_shared_key(received, code)),
        *_policies(known, offer.policy),
        manifests.cloud_peer(peer, offer.policy, terms.tunnel, received.invitation_id, terms),
    ]
    terminal.confirm(answers.summary(received, terms, offer.policy), f"Agree with {peer} on this?", chosen.yes)
    nonce = secrets.token_bytes(NONCE_BYTES)
    header = Header(Type.ANSWER, known.own.cloud_id, peer, offer.expires, received.invitation, nonce)
    with _agreed(kubectl, peer, objects, (offer.path,)):
        ends = _write_bundle(kubectl, known, offer, header, code, terms.tunnel, not chosen.unchecked)
    return answers.joined(header, str(offer.path), offer.server, ends)


def accept(kubectl: Kubectl, chosen: Namespace) -> Answer:
    """Take the answer to our invitation: store its terms, and let the agreement begin."""
    bundle = _parsed(chosen.file)
    known = cluster.known(kubectl)
    header = bundle.header
    check_answer(header, known.own.cloud_id, datetime.now(UTC))
    invited = known.require_invited(header.sender, header.invitation_id)
    code = terminal.ask_code(chosen.code_file)
    terms = _terms(open_bundle(bundle, code), invited.cloud_id)
    known.require_apart(invited.cloud_id, terms.gateway_cidrs)
    known.require_common(invited.cloud_id, invited.policy, terms.proposals)
    if terms.tunnel != invited.tunnel:
        raise Refused(f"the answer is for another tunnel than that of CloudPeer {invited.name}: invite the peer again")
    objects = manifests.secrets(known.own, invited.cloud_id, terms, pre_shared_key(header, code))
    patch = manifests.acceptance(header.invitation_id, terms)
    kubectl.apply(objects, dry_run=True)
    kubectl.patch("cloudpeer", invited.name, patch, dry_run=True)
    terminal.confirm(
        answers.summary(header, terms, invited.policy), f"Agree with {invited.cloud_id} on this?", chosen.yes
    )
    kubectl.apply(objects)
    kubectl.patch("cloudpeer", invited.name, patch)
    return answers.accepted(header)


@contextmanager
def _agreed(
    kubectl: Kubectl, peer: str, objects: Sequence[manifests.Manifest], files: Sequence[Path]
) -> Iterator[None]:
    """Apply new objects for the block. If it fails, they and the new files are removed again."""
    cluster.require_rights(kubectl, peer)
    cluster.require_no_secrets(kubectl, peer)
    kubectl.apply(objects, dry_run=True)
    try:
        kubectl.apply(objects)
        yield
    except BaseException:
        print("kubectl isthmus: failed, removing what was created", file=sys.stderr)
        cluster.undo(kubectl, objects)
        for file in files:
            file.unlink(missing_ok=True)
        raise


def _named_authority(chosen: Namespace) -> str | None:
    """Certificates of the file that is an option; None without it."""
    if not chosen.ca_file:
        return None
    return reach.certificates(chosen.ca_file, terminal.read_file(chosen.ca_file, "certificate authority"))


def _offer(kubectl: Kubectl, chosen: Namespace, known: Known, peer: str, authority: str | None) -> Offer:
    """Check everything that can be checked before something is changed."""
    policy = known.policy(chosen.policy or "")
    hours, days = ranged("--hours", chosen.hours, 72, 720), ranged("--days", chosen.days, 30, 365)
    path = Path(chosen.out or f"{known.own.cloud_id}.for.{peer}.isthmus")
    terminal.require_new_file(path)
    authority = authority or cluster.root_certificates(kubectl)
    if not chosen.unchecked:
        reach.check_server(chosen.server, authority)
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=hours)
    return Offer(chosen.server, authority, not chosen.ca_file, policy, days, expires, path)


def _write_bundle(
    kubectl: Kubectl,
    known: Known,
    offer: Offer,
    header: Header,
    code: PairingCode,
    agreed: Tunnel,
    is_checked: bool,
) -> str:
    """Create the peer's credential and write the file; returns when the credential ends."""
    peer = header.receiver
    cluster.wait_for_account(kubectl, peer)
    credential = cluster.create_credential(kubectl, peer, offer.days)
    if is_checked:
        reach.check_credential(offer.server, offer.authority, credential.token, names.peer_namespace(peer))
    terms = Terms(
        server=offer.server,
        gateway_cidrs=known.own.gateway_cidrs,
        tunnel=agreed,
        proposals=known.proposals(offer.policy),
        authority=offer.authority,
        token=credential.token,
    )
    recorded = "" if offer.is_own_authority else offer.authority
    cluster.record_credential(kubectl, peer, credential, offer.server, recorded)
    terminal.write_private(offer.path, seal(header, terms.to_bytes(), code))
    return credential.ends


def _policies(known: Known, policy: str) -> list[manifests.Manifest]:
    """The IPsecPolicy, if it does not exist yet."""
    return [] if policy in known.policies else [manifests.ipsec_policy(policy)]


def _parsed(name: str) -> Bundle:
    return parse(terminal.read_file(name, "file"))


def _terms(content: bytes, peer: str) -> Terms:
    try:
        return Terms.parse(content)
    except BadTerms as error:
        raise BadBundle(f"the terms of {peer} {error}: its plugin may be of another release") from None


VERBS = {"invite": invite, "join": join, "accept": accept}
