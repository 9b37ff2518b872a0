"""Credentials between two clouds: the one that we hold from the peer, and the one that the peer should hold from us."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from isthmus.core.snapshot.conditions import false, true, unknown
from isthmus.core.snapshot.index import Snapshot
from isthmus.model import names
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.reasons import ConditionType, Reason

Account = Mapping[tuple[str, str], Mapping[str, Any]]
"""The existing objects of the peer's account: manifests by kind and name."""

_LONGEST_WARNING: Final = timedelta(days=7)
_WARNING_PART: Final = 3  # of a token's lifetime, if that is shorter


def credential_expiring(snapshot: Snapshot, cloud_id: str) -> Condition:
    """Whether the credential that we read the peer with ends soon, or has ended."""
    type_, lifetime = ConditionType.CREDENTIAL_EXPIRING, snapshot.credentials.get(cloud_id)
    if lifetime is None:
        return unknown(type_, Reason.EXPIRY_UNKNOWN, "the credential from the peer does not tell when it ends")
    end = f"{lifetime.ends:%Y-%m-%d %H:%M} UTC"
    command = f"ask the peer's administrator for `isthmus peer-kubeconfig {snapshot.own.cloud_id} --renew`"
    if snapshot.now >= lifetime.ends:
        return true(type_, Reason.CREDENTIAL_EXPIRED, f"the credential from the peer ended at {end}: {command}")
    warning = min(_LONGEST_WARNING, (lifetime.ends - lifetime.begins) / _WARNING_PART)
    if lifetime.ends - snapshot.now <= warning:
        return true(type_, Reason.CREDENTIAL_EXPIRING, f"the credential from the peer ends at {end}: {command}")
    return false(type_, Reason.CREDENTIAL_VALID, f"until {end}")


def credentials_handed_over(snapshot: Snapshot, peer: CloudPeer, account: Account | None) -> Condition:
    """Whether a kubeconfig that still works has been made for the peer; as last reported if that was not read."""
    type_ = ConditionType.CREDENTIALS_HANDED_OVER
    if account is None:
        return condition_of(peer.status.conditions, type_) or unknown(type_, Reason.NOT_HANDED_OVER)
    command = f"run `isthmus peer-kubeconfig {peer.spec.cloud_id}` and hand over what it prints"
    until = handed_over_until(account)
    if until is not None and snapshot.now < until:
        return true(type_, Reason.HANDED_OVER, f"until {until:%Y-%m-%d %H:%M} UTC")
    if _has_legacy_token(account):
        return true(
            type_,
            Reason.LEGACY_CREDENTIAL,
            f"a token that never ends: {command}, then delete Secret {names.PEER_TOKEN} in namespace "
            f"{names.peer_namespace(peer.spec.cloud_id)}",
        )
    if until is not None:
        return false(type_, Reason.HANDOVER_EXPIRED, f"ended at {until:%Y-%m-%d %H:%M} UTC: {command}")
    if peer.status.account_uid not in (None, account_uid(account)):
        return false(type_, Reason.ACCOUNT_RECREATED, f"what was handed over before is void: {command}")
    return false(type_, Reason.NOT_HANDED_OVER, command)


def recorded_account_uid(peer: CloudPeer, account: Account | None) -> str | None:
    """The UID of the account that the peer got its credential for last; None if it never got one."""
    if account is not None and (handed_over_until(account) is not None or _has_legacy_token(account)):
        return account_uid(account)
    return peer.status.account_uid


def account_uid(account: Account) -> str | None:
    """The UID of the peer's ServiceAccount; None if there is none."""
    uid = _service_account(account).get("metadata", {}).get("uid")
    return str(uid) if uid else None


def handed_over_until(account: Account) -> datetime | None:
    """When the last kubeconfig that was made for the account ends; None if none was."""
    annotations = _service_account(account).get("metadata", {}).get("annotations") or {}
    try:
        return datetime.fromisoformat(annotations[names.HANDED_OVER_ANNOTATION].replace("Z", "+00:00"))
    except (KeyError, ValueError):
        return None


def _service_account(account: Account) -> Mapping[str, Any]:
    return account.get(("ServiceAccount", names.PEER_ACCOUNT), {})


def _has_legacy_token(account: Account) -> bool:
    """Whether there is the Secret that earlier releases created: its token never ends."""
    return bool((account.get(("Secret", names.PEER_TOKEN), {}).get("data") or {}).get("token"))
