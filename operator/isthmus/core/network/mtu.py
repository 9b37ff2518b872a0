"""The largest MTU that a gateway node can carry to a peer."""

from __future__ import annotations

from isthmus.core.federation.agreement import Agreement, agree, encapsulation_of
from isthmus.core.federation.pairing import Pairing, as_published, pairing
from isthmus.core.placement.gateways import Gateway
from isthmus.core.placement.mtu import default_mtu, inner_mtu
from isthmus.core.snapshot.index import Snapshot
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer, Tunnel


def carried_mtu(snapshot: Snapshot, gateway: Gateway, peer: CloudPeer | None) -> int:
    """The largest MTU in bytes that the node can carry to the peer; if that is not known any more, by VXLAN.

    It is what the node's interface carries, or the path to the peer if that is known to carry less.
    """
    tunnel = peer.spec.tunnel if peer is not None else Tunnel()
    header_bytes = encapsulation_of(tunnel).HEADER_BYTES
    carried = (
        inner_mtu(
            gateway.underlay_mtu_of(pair.ip_version),
            header_bytes,
            underlay=pair.ip_version,
            tunnel_mode=pair.tunnel_mode,
            through_nat=pair.through_nat,
        )
        for pair in _pairings(snapshot, gateway, peer)
    )
    mtu = min(carried, default=default_mtu(gateway.address, gateway.underlay_mtu, header_bytes))
    return min(mtu, gateway.carried_by_paths.get(peer.spec.cloud_id, mtu)) if peer is not None else mtu


def _pairings(snapshot: Snapshot, gateway: Gateway, peer: CloudPeer | None) -> tuple[Pairing, ...]:
    """With all gateways of the peer, as last agreed, which is what the agents plan by."""
    link = snapshot.peerlink(peer.spec.cloud_id) if peer is not None else None
    agreement = agree(link.spec, link.status.peer.spec) if link is not None and link.status.peer is not None else None
    if link is None or link.status.peer is None or not isinstance(agreement, Agreement):
        return ()
    own = as_published(link.spec.gateways, gateway.name, gateway.addresses)
    found = (pairing(agreement, own, theirs) for theirs in link.status.peer.spec.gateways)
    return tuple(pair for pair in found if isinstance(pair, Pairing))
