"""A peer that publishes more than was agreed, or what is made to collide: its own networks may suffer, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from isthmus.controller.loop import Outcome
from isthmus.model import names
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import (
    ExpansionLinkSpec,
    NetworkIdentity,
    Offer,
    OfferedProject,
    OfferedSubnet,
)
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.facts.peer import PeerView, Published
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scene import Scene

LIMIT = 2
SPARE = 16


class Peers:
    """ports.PeerReader: cloud A's PeerLink is read as it is, its networks are what a test publishes."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud
        self.networks: dict[str, Published[ExpansionLinkSpec]] = {}

    def start(self, wake: object) -> None: ...
    def stop(self) -> None: ...
    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        self._cloud.peers.follow(kubeconfigs)

    def views(self) -> Mapping[str, PeerView]:
        views = self._cloud.peers.views()
        return {**views, "cloud-a": replace(views["cloud-a"], links=MappingProxyType(dict(self.networks)))}

    def publish(self, number: int, tunnel_id: int | None = None, *, generation: int = 1, network_id: str = "") -> str:
        """Offer one network; its name."""
        spec = _offer(network_id or f"{number:08x}-0000-0000-0000-000000000000", tunnel_id or 0x100000 + number)
        name = spec.origin.link_name
        self.networks[name] = Published(f"uid-{number}", generation, spec)
        return name


def _offer(network_id: str, tunnel_id: int) -> ExpansionLinkSpec:
    subnet = OfferedSubnet(id=network_id, cidr="10.0.0.0/24", first="10.0.0.100", last="10.0.0.200")
    project = OfferedProject(id=network_id, name="x")
    return ExpansionLinkSpec(
        cloud_id="cloud-a",
        peer_cloud_id="cloud-b",
        origin=NetworkIdentity(cloud_id="cloud-a", network_id=network_id),
        offer=Offer(tunnel_id=tunnel_id, project=project, network_name="n", subnets=(subnet,)),
        mtu=1400,
        gateway="gw-cloud-a",
    )


@pytest.fixture
def scene() -> Scene:
    return Scene()


@pytest.fixture
def peers(scene: Scene) -> Peers:
    """What cloud A publishes for B, which takes two networks."""
    peers = Peers(scene.b)
    scene.b.restart(replace(scene.b.backends, peers=peers))
    scene.b.people.apply(scene.b.cloud_peer(scene.a, agreement={"limits": {"networks": LIMIT}}))
    scene.b.cycle()
    return peers


def _settle(cloud: FakeCloud) -> Outcome:
    for _ in range(20):
        outcome = cloud.cycle()
        if not outcome.actions:
            return outcome
    raise AssertionError("the controller does not come to rest")


def _verdicts(cloud: FakeCloud) -> list[tuple[str, str]]:
    return sorted((k.spec.answer.verdict, k.spec.answer.reason) for k in cloud.links() if k.spec.answer)


def test_number_of_considered_offers_is_bounded(scene: Scene, peers: Peers) -> None:
    for number in range(1, 200):
        peers.publish(number)
    assert _settle(scene.b).failures == {}
    assert _verdicts(scene.b) == [("Accepted", "Accepted")] * LIMIT + [("Refused", "LimitReached")] * (LIMIT + SPARE)


@pytest.mark.parametrize("networks", [LIMIT + SPARE + 7, pytest.param(100, marks=pytest.mark.long)])
def test_waiting_offers_are_accepted_as_others_are_withdrawn(scene: Scene, peers: Peers, networks: int) -> None:
    offered = [peers.publish(number) for number in range(1, networks + 1)]
    connected = set[str]()
    while peers.networks:
        _settle(scene.b)
        now = {k.metadata.name for k in scene.b.links() if k.spec.answer and k.spec.answer.verdict == "Accepted"}
        assert now - connected
        connected |= now
        for name in now:
            del peers.networks[name]
            _withdrawn(scene, peers, name)
    assert connected == set(offered)
    assert scene.b.neutron.find_domain("isthmus-cloud-a") is None


def _withdrawn(scene: Scene, peers: Peers, name: str) -> None:
    """The peer withdraws one network, and takes its half away when B has let go."""
    spec = _offer(name.partition(".")[2], 0x100000 + int(name.partition(".")[2][:8], 16))
    number = int(name.partition(".")[2][:8], 16)
    peers.networks[name] = Published(f"uid-{number}", 2, spec.model_copy(update={"state": "Withdrawn"}))
    _settle(scene.b)
    del peers.networks[name]
    scene.federation.clock.move(301)
    _settle(scene.b)
    scene.federation.clock.move(301)
    _settle(scene.b)


def test_networks_with_colliding_names_on_a_node(scene: Scene, peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever chooses both IDs finds such a pair in some minutes."""
    monkeypatch.setattr(names, "patch_in_cloud_bridge", lambda _: "isctwin")
    peers.publish(1)
    peers.publish(2)
    _settle(scene.b)
    assert _verdicts(scene.b) == [("Accepted", "Accepted"), ("Refused", "InvalidOffer")]


@pytest.mark.parametrize("gateways", [("gw-cloud-c",), ("one", "two")], ids=["another peer's", "its own"])
def test_gateways_with_colliding_names_on_a_node(
    scene: Scene, gateways: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = {("cloud-b", "gw-cloud-c"), ("cloud-c", "gw-cloud-c"), ("cloud-b", "one"), ("cloud-b", "two")}
    real = names.tunnel_port
    monkeypatch.setattr(names, "tunnel_port", lambda *key: "isttwin" if key in alike else real(*key))
    link = scene.b.people.get(PeerLink, "cloud-b", names.peer_namespace("cloud-a"))
    assert link is not None
    published = tuple(PeerGateway(name=name, address=f"192.0.3.{n}") for n, name in enumerate(gateways, start=11))
    forged = link.model_copy(update={"spec": link.spec.model_copy(update={"gateways": published})})
    FakeCluster(scene.b.store).apply(forged)
    scene.a.cycle()
    assert reason(scene.a.peer("cloud-b")) == "GatewayRefused"
    assert reason(scene.a.peer("cloud-c")) != "GatewayRefused"


def test_changed_project_in_a_newer_offer_leaves_no_project_behind(scene: Scene, peers: Peers) -> None:
    name = peers.publish(1)
    _settle(scene.b)
    half = peers.networks[name]
    assert half.spec is not None
    assert half.spec.offer is not None
    offer = half.spec.offer.model_copy(update={"project": OfferedProject(id="another", name="x")})
    spec = half.spec.model_copy(update={"offer": offer})
    peers.networks[name] = Published(half.uid, 2, spec)
    _settle(scene.b)
    peers.networks[name] = Published(half.uid, 3, spec.model_copy(update={"state": "Withdrawn"}))
    _settle(scene.b)
    assert scene.b.attachments() == []
    assert scene.b.neutron.find_domain("isthmus-cloud-a") is None


def test_spec_changed_without_a_new_generation_is_ignored(scene: Scene, peers: Peers) -> None:
    """An API server counts generations; one that does not must not get two networks onto one tunnel ID."""
    for number in (1, 2):
        peers.publish(number)
    waiting = peers.publish(3, 0x100007)
    _settle(scene.b)
    assert _verdicts(scene.b) == [("Accepted", "Accepted")] * 2 + [("Refused", "LimitReached")]
    peers.publish(1, 0x100007, generation=2)
    peers.publish(3, 0x100009)
    scene.b.people.apply(scene.b.cloud_peer(scene.a, agreement={"limits": {"networks": LIMIT + 1}}))
    _settle(scene.b)
    connected = {a.metadata.name: [path.tunnel_id for path in a.spec.links] for a in scene.b.attachments()}
    assert connected.pop(waiting, []) != [0x100007]
    assert sorted(connected.values()) == [[0x100002], [0x100007]]


def test_peer_does_not_learn_the_owner_of_an_address(scene: Scene) -> None:
    """The status of our PeerLink is for the peer to read; what it could ask there of others is for our people only."""
    told = set()
    for address in ("192.0.4.11", "192.0.2.11", "198.51.100.9"):
        link = scene.b.people.get(PeerLink, "cloud-b", names.peer_namespace("cloud-a"))
        assert link is not None
        gateways = (PeerGateway(name="g", address=address),)
        FakeCluster(scene.b.store).apply(
            link.model_copy(update={"spec": link.spec.model_copy(update={"gateways": gateways})})
        )
        scene.a.cycle()
        ours = scene.a.people.get(PeerLink, "cloud-a", names.peer_namespace("cloud-b"))
        assert ours is not None
        assert reason(scene.a.peer("cloud-b")) == "GatewayRefused"
        told |= {(c.reason, c.message) for c in ours.status.conditions}
    assert len(told) == 1
