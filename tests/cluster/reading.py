"""Helpers for reading peers in tests."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

from isthmus.adapters.peers import RemotePeers
from isthmus.model.facts.peer import PeerView
from tests.contract.peers import PEER
from tests.testbed.host.process import wait_until

US = "readers"
POLL_SECONDS = 0.5


def wait_for_view(peers: RemotePeers, expected: Callable[[PeerView], bool], within: float = 30) -> PeerView:
    """Wait until the view of the peer is as expected, and return it."""

    def seen() -> PeerView | None:
        view = peers.views().get(PEER)
        return view if view is not None and expected(view) else None

    found = wait_until(seen, within, "the expected view of the peer", poll_seconds=0.05)
    assert found is not None
    return found


def peer_kubeconfig(server: str, authority: Path, user: dict[str, object] | dict[str, str]) -> bytes:
    """A kubeconfig for a peer's API."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    document = {
        "clusters": [{"name": "peer", "cluster": cluster}],
        "users": [{"name": "peer", "user": user}],
        "contexts": [{"name": "peer", "context": {"cluster": "peer", "user": "peer"}}],
        "current-context": "peer",
    }
    return json.dumps(document).encode()
