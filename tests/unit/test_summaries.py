"""Summaries of several peers, links and gateways in `kubectl get`."""

from __future__ import annotations

from isthmus.core.snapshot.summary import ratio
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from tests.fakes.federation import FakeFederation


def test_ratio_of_nothing() -> None:
    assert ratio(()) == "0/0"


def test_all_peers_are_counted_and_not_the_first_alone() -> None:
    federation = FakeFederation("a", "b", "c")
    federation.agree()
    federation.settle()
    a, b, _ = federation.clouds
    _, network, _ = a.tenant()
    a.expand(network.id, "cloud-b", "cloud-c", "cloud-x")
    federation.settle()

    expansion, (attachment,) = a.expansion(), a.attachments()
    assert expansion is not None
    assert expansion.status.peers_ready == "2/3"
    assert attachment.status.links_up == "2/2"
    assert a.peer("cloud-b").status.tunnels_up == "1/1"
    (link,) = [k for k in a.kubectl.list_objects(PeerLink) if k.spec.peer_cloud_id == "cloud-b"]
    assert (link.status.gateways, link.status.peer_gateways) == (a.gateway_address, b.gateway_address)
