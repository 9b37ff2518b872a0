"""The peers of which something is not understood: what the node has for them stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.node.inputs import NodeInputs

Manifest = Mapping[str, Any]


@dataclass(frozen=True)
class Unclear:
    """Objects that do not parse, of which no earlier version is known, as they are stored."""

    peers: tuple[Manifest, ...] = ()
    policies: tuple[Manifest, ...] = ()
    peerlinks: tuple[Manifest, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.peers or self.policies or self.peerlinks)


def kept_peers(inputs: NodeInputs, unclear: Unclear) -> dict[str, tuple[PeerGateway, ...]]:
    """By cloud ID the gateways of these peers that are known from anywhere."""
    if not unclear:
        return {}
    clouds = {*_of_peers(inputs, unclear), *_of_policies(inputs, unclear), *_of_links(inputs, unclear)}
    return {cloud_id: _gateways(inputs, unclear, cloud_id) for cloud_id in sorted(clouds)}


def _of_peers(inputs: NodeInputs, unclear: Unclear) -> Iterator[str]:
    """A CloudPeer without cloud ID may be that of any peer for which there is a PeerLink and no CloudPeer."""
    known = {peer.spec.cloud_id for peer in inputs.peers}
    for manifest in unclear.peers:
        cloud_id = _part(manifest, "spec").get("cloudID")
        if isinstance(cloud_id, str):
            yield cloud_id
        else:
            yield from {link.spec.peer_cloud_id for link in inputs.peerlinks} - known


def _of_policies(inputs: NodeInputs, unclear: Unclear) -> Iterator[str]:
    policies = {manifest["metadata"]["name"] for manifest in unclear.policies}
    return (peer.spec.cloud_id for peer in inputs.peers if peer.spec.ipsec.policy_ref.name in policies)


def _of_links(inputs: NodeInputs, unclear: Unclear) -> Iterator[str]:
    for manifest in unclear.peerlinks:
        if manifest["metadata"]["name"] == inputs.cloud_id:
            yield _home_of(manifest)


def _gateways(inputs: NodeInputs, unclear: Unclear, cloud_id: str) -> tuple[PeerGateway, ...]:
    """As the peer publishes them; besides, those that networks use."""
    specs = [attachment.spec for attachment in inputs.attachments.values()]
    found = {link.gateway.name: link.gateway for of in specs for link in of.links if link.cloud_id == cloud_id}
    found |= {path.gateway.name: path.gateway for of in specs for path in of.direct_paths if path.cloud_id == cloud_id}
    for manifest in unclear.peerlinks:
        if _home_of(manifest) == cloud_id:
            found |= {gateway.name: gateway for gateway in _published(manifest)}
    for peerlink in inputs.peerlinks:
        if peerlink.spec.peer_cloud_id == cloud_id and peerlink.status.peer is not None:
            found |= {gateway.name: gateway for gateway in peerlink.status.peer.spec.gateways}
    return tuple(found[name] for name in sorted(found))


def _published(manifest: Manifest) -> Iterator[PeerGateway]:
    """The gateways in the `status.peer` of a PeerLink, as far as they parse."""
    gateways = _part(_part(_part(manifest, "status"), "peer"), "spec").get("gateways")
    for gateway in gateways if isinstance(gateways, list) else ():
        try:
            yield PeerGateway.model_validate(gateway)
        except ValidationError:
            continue


def _home_of(manifest: Manifest) -> str:
    return names.peer_of_namespace(str(manifest["metadata"].get("namespace")))


def _part(manifest: Manifest, name: str) -> Manifest:
    found = manifest.get(name)
    return found if isinstance(found, Mapping) else {}
