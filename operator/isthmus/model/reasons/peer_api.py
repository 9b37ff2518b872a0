"""Reasons that come from reading a peer's API."""

from __future__ import annotations

from .explanation import Place, administrator, progressing, transient
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
    Reason.PARTLY_UNDERSTOOD: administrator(
        "The peer publishes something that this version of Isthmus does not know, or that is malformed or beyond a "
        "limit. It is left out, and only what depends on it is affected.",
        "Compare the versions of Isthmus in both clouds, and upgrade the older one.",
        Place.UNDERSTOOD,
    ),
}
