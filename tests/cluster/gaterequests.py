"""Requests to a gate: what a peer asks, and what the gate must refuse to everybody."""

from __future__ import annotations

from typing import Final

from .conftest import PUBLIC_ADDRESS
from .reading import US

OTHER: Final = "cloud-c"
LINKS: Final = f"/isthmus/apis/isthmus.cloud/v1alpha1/namespaces/isthmus-peer-{US}"
SECRETS: Final = "/api/v1/namespaces/isthmus-ipsec/secrets"
TARGETS: Final = [
    "/",
    "/version",
    "/readyz",
    "/metrics",
    "/api",
    "/apis",
    "/openapi/v3",
    SECRETS,
    f"/isthmus{SECRETS}",
    f"/isthmus/api/v1/namespaces/isthmus-peer-{US}/secrets",
    LINKS.removeprefix("/isthmus") + "/peerlinks",
    "/isthmus/apis/isthmus.cloud/v1alpha1",
    "/isthmus/apis/isthmus.cloud/v1alpha1/peerlinks",
    "/isthmus/apis/isthmus.cloud/v1alpha1/cloudpeers",
    f"/isthmus/apis/isthmus.cloud/v1alpha1/namespaces/isthmus-peer-{OTHER}/peerlinks",
    "/isthmus/apis/isthmus.cloud/v1alpha1/namespaces/isthmus-system/attachments",
    "/isthmus/apis/isthmus.cloud/v1alpha1/namespaces/isthmus-system/peerlinks",
    f"/isthmus/api/v1/namespaces/isthmus-peer-{US}/serviceaccounts/peer/token",
    LINKS,
    f"{LINKS}/",
    f"{LINKS}/attachments",
    f"{LINKS}/peerlinks/",
    f"{LINKS}/peerlinks/cloud-a",
    f"{LINKS}/peerlinks/cloud-a/status",
    f"{LINKS}/PeerLinks",
    f"{LINKS}/peerlinks;x",
    f"{LINKS}/peerlinks%3fwatch=1",
    f"{LINKS}/peerlinks%20",
    f"{LINKS}/peerlinks%00",
    f"{LINKS}/%70eerlinks",
    f"{LINKS}/../../../../../..{SECRETS}",
    f"{LINKS}/peerlinks/../../../../../../..{SECRETS}",
    f"{LINKS}/peerlinks/..%2f..%2f..%2f..%2f..%2f..%2f..{SECRETS}",
    f"{LINKS}/peerlinks/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e{SECRETS}",
    f"{LINKS}/./peerlinks",
    f"{LINKS}//peerlinks",
    f"/{LINKS}/peerlinks",
    f"//example.org{LINKS}/peerlinks",
    f"/isthmus/{SECRETS}#{LINKS}/peerlinks",
    f"{SECRETS}?{LINKS}/peerlinks",
    f"https://{PUBLIC_ADDRESS}:8443{SECRETS}",
    f"https://{PUBLIC_ADDRESS}:8443/isthmus{SECRETS}",
    f"{LINKS}/peerlinks\\..\\..",
    "*",
]
METHODS: Final = ("HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "LIST", "get")
BODIES: Final[list[tuple[bytes, tuple[str, ...]]]] = [
    (b"", ("Upgrade: websocket", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13")),
    (b"", ("Upgrade: SPDY/3.1",)),
    (b"", ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA")),
    (b"{}", ("Content-Length: 2",)),
    (b"2\r\n{}\r\n0\r\n\r\n", ("Transfer-Encoding: chunked",)),
    (b"2\r\n{}\r\n0\r\n\r\n", ("Transfer-Encoding: chunked", "Content-Length: 2")),
    (b"{}", ("Content-Length: 0", "Content-Length: 2")),
]
"""Bodies and headers of other protocols, and of requests with a body."""


def request(target: str, token: str, *headers: str, method: str = "GET") -> bytes:
    """One request of HTTP/1.1, whose target is sent as it is."""
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {PUBLIC_ADDRESS}",
        f"Authorization: Bearer {token}",
        "Connection: close",
    ]
    return "\r\n".join([*lines, *headers, "", ""]).encode()
