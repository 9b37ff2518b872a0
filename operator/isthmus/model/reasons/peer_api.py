"""Reasons that come from reading a peer's API."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, settled, transient
from .reason import Reason

_PLACES = (Place.REACHABLE, Place.READY, Place.PEER_SEEN)

EXPLANATIONS = {
    Reason.NOT_READ_YET: progressing(
        "The controller has not read the peer's API since it started.", *_PLACES, Place.UNDERSTOOD
    ),
    Reason.KUBECONFIG_NOT_FOUND: administrator(
        "The Secret with the peer's kubeconfig does not exist, or lacks the key `kubeconfig`.",
        "Ask the peer's administrator for the output of `isthmus peer-kubeconfig`, and store it in the Secret that the "
        "message names.",
        Place.REACHABLE,
        Place.READY,
    ),
    Reason.INVALID_KUBECONFIG: administrator(
        "The peer's kubeconfig cannot be used, or contains a field that is not allowed. The message names the field.",
        "Replace the content of the Secret by the unchanged output of the peer's `isthmus peer-kubeconfig`.",
        *_PLACES,
    ),
    Reason.PEER_UNREACHABLE: transient(
        "The peer's API does not answer. Networks that are stretched already keep working.",
        "Check the network between the controller and the peer's API server, and ask the peer's administrator.",
        *_PLACES,
    ),
    Reason.PEER_FORBIDDEN: administrator(
        "The peer's API refuses our credential.",
        "Ask the peer's administrator for a new kubeconfig; deleting the CloudPeer there revokes ours.",
        *_PLACES,
    ),
    Reason.PEER_NOT_PUBLISHING: administrator(
        "The peer's API server has no PeerLinks or ExpansionLinks.",
        "Ask the peer's administrator to install Isthmus, and check the server address in the kubeconfig.",
        *_PLACES,
    ),
    Reason.INVALID_ANSWER: administrator(
        "The peer's API gave an answer that is too large, or not what the Kubernetes API defines.",
        "Check the server address in the kubeconfig, and ask the peer's administrator.",
        *_PLACES,
    ),
    Reason.CREDENTIAL_VALID: settled("The credential from the peer is valid for longer.", Place.CREDENTIAL_EXPIRING),
    Reason.EXPIRY_UNKNOWN: settled(
        "The credential from the peer does not tell when it ends: a token of an earlier release, or a certificate.",
        Place.CREDENTIAL_EXPIRING,
    ),
    Reason.CREDENTIAL_EXPIRING: administrator(
        "The credential from the peer ends soon.",
        "Ask the peer's administrator for a new kubeconfig, and store it in the Secret that the CloudPeer names.",
        Place.CREDENTIAL_EXPIRING,
    ),
    Reason.CREDENTIAL_EXPIRED: administrator(
        "The credential from the peer has ended.",
        "Ask the peer's administrator for a new kubeconfig, and store it in the Secret that the CloudPeer names.",
        Place.CREDENTIAL_EXPIRING,
    ),
    Reason.HANDED_OVER: settled("A kubeconfig was made for the peer and is valid.", Place.CREDENTIALS_HANDED_OVER),
    Reason.LEGACY_CREDENTIAL: settled(
        "The peer may still use the token that an earlier release created, which never ends. The message says how to "
        "replace it.",
        Place.CREDENTIALS_HANDED_OVER,
    ),
    Reason.NOT_HANDED_OVER: administrator(
        "No kubeconfig was made for the peer yet.",
        "Run `isthmus peer-kubeconfig`, and hand the output to the peer's administrator.",
        Place.CREDENTIALS_HANDED_OVER,
    ),
    Reason.HANDOVER_EXPIRED: administrator(
        "The last kubeconfig that was made for the peer has ended.",
        "Run `isthmus peer-kubeconfig` with `--renew`, and hand the output to the peer's administrator.",
        Place.CREDENTIALS_HANDED_OVER,
    ),
    Reason.ACCOUNT_RECREATED: administrator(
        "The peer's namespace or account was deleted and created again: the kubeconfig that the peer has is void.",
        "Run `isthmus peer-kubeconfig`, and hand the output to the peer's administrator.",
        Place.CREDENTIALS_HANDED_OVER,
    ),
    Reason.PARTLY_UNDERSTOOD: administrator(
        "The peer publishes something that this version of Isthmus does not know, or that is malformed or beyond a "
        "limit. It is left out, and only what depends on it is affected.",
        "Compare the versions of Isthmus in both clouds, and upgrade the older one.",
        Place.UNDERSTOOD,
    ),
}
