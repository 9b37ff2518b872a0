"""The kubeconfig that one cloud hands to another, and the URLs that it may have.

Needs the standard library alone, because `kubectl isthmus` contains it.
"""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import SplitResult, urlsplit


def peer_kubeconfig(namespace: str, server: str, authority: str, token: str) -> dict[str, Any]:
    """The kubeconfig by which a peer reads its namespace; `authority` in PEM, as the server's certificate is verified.

    https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
    """
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.encode()).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "peer", "cluster": cluster}],
        "users": [{"name": "peer", "user": {"token": token}}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer", "namespace": namespace}}],
        "current-context": "peer",
    }


def plain_url(text: str) -> SplitResult | None:
    """The https URL of an API server, perhaps with a path; None for any other, or one with user, query or fragment."""
    try:
        url = urlsplit(text)
        is_plain = url.scheme == "https" and url.hostname and (url.port or 443) and not (url.query or url.fragment)
    except ValueError:
        return None
    return url if is_plain and url.username is None and not any(c <= " " for c in text) else None
