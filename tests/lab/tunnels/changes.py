"""What the administrators of both clouds change of a tunnel that stands, one after the other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.authority import Authority, secret_data
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, condition, patch_spec, wait_reason
from tests.testbed.install.installation import IPSEC, Installation

AUTHORITIES: Final = {name: Authority(f"gateways of cloud {name}") for name in ("a", "b")}


def change_peer(side: Installation, peer: Installation, spec: Mapping[str, Any]) -> None:
    """Change a CloudPeer."""
    patch_spec(side.cloud, "cloudpeer", peer.cloud.cloud_id, dict(spec))


def change_encapsulation(peers: Federation, encapsulation: str) -> None:
    """Change it in A, then in B, unless they have it; until B has it, both name what they disagree on."""
    if _encapsulation(peers.a, peers.b) == encapsulation:
        return
    tunnel = {"tunnel": {"encapsulation": encapsulation, "port": None}}
    change_peer(peers.a, peers.b, tunnel)
    for side, peer in ((peers.a, peers.b), (peers.b, peers.a)):
        wait_reason(side.cloud, "cloudpeer", peer.cloud.cloud_id, "EncapsulationsDiffer")
    change_peer(peers.b, peers.a, tunnel)
    peers.wait_for_peers()


def _encapsulation(side: Installation, peer: Installation) -> str:
    path = "jsonpath={.spec.tunnel.encapsulation}"
    return side.cloud.kubectl("get", "cloudpeer", peer.cloud.cloud_id, "-o", path)


def declare_uplinks(side: Installation, uplinks: list[dict[str, Any]] | None) -> None:
    """Say how peers reach the gateway node of a cloud; None: nothing, as at first."""
    spec = None if uplinks is None else {"uplinks": uplinks}
    patch = json.dumps({"spec": spec})
    side.cloud.kubectl("patch", "gatewaynode", side.cloud.gateway.name, "--type=merge", "-p", patch)


def offer_hybrid(peers: Federation) -> None:
    """Let both clouds have the proposals of the default, which begin with hybrid ones."""
    for side in peers.both:
        patch_spec(side.cloud, "ipsecpolicy", "strong", {"ike": {"proposals": None}, "esp": {"proposals": None}})


def hybrid_reason(side: Installation, peer: Installation) -> str:
    """Why key exchange with the peer is not hybrid."""
    found = condition(side.cloud, "cloudpeer", peer.cloud.cloud_id, type_="HybridKeyExchange")
    return str(found.get("reason", ""))


def trust(side: Installation, peer: Installation) -> None:
    """Add the peer's CA to the Secret of a cloud."""
    _change_secret(side, peer, secret_data(ca_crt=AUTHORITIES[peer.cloud.name].certificate))


def use_certificate(side: Installation, peer: Installation) -> None:
    """Give a cloud's gateway a certificate, and let it authenticate itself by that."""
    cloud = side.cloud
    issued = AUTHORITIES[cloud.name].issue(f"{cloud.gateway.name}.{cloud.cloud_id}")
    _change_secret(side, peer, secret_data(issued))
    change_peer(side, peer, {"ipsec": {"authentication": "Certificate"}})


def forget_key(side: Installation, peer: Installation) -> None:
    """Remove the pre-shared key from a cloud's Secret."""
    _change_secret(side, peer, {"psk": None})


def renewed(side: Installation, before: set[str]) -> None:
    """Wait until a gateway node has new SAs, and no other ones."""
    gateway = side.cloud.gateway
    wait_until(lambda: (found := gateway.spis()) and not found & before, 60, f"only new SAs at {gateway.name}")


def _change_secret(side: Installation, peer: Installation, data: Mapping[str, str | None]) -> None:
    """By a file: an argument can be read by everybody on the machine."""
    patch = ("patch", "secret", "-n", IPSEC, f"peer-{peer.cloud.cloud_id}", "--type=merge", "--patch-file=/dev/stdin")
    side.cloud.kubectl(*patch, input=json.dumps({"data": data}))
