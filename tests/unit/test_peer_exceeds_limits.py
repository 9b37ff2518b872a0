"""A peer that publishes more than was agreed, or colliding names, harms at most its own networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

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
from isthmus.model.sharedmapping import SharedMapping
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario

LIMIT = 2
SPARE = 16


class Peers:
    """ports.PeerReader with cloud A's real PeerLink and the ExpansionLinks that a test publishes."""

    def __init__(self, cloud: FakeCloud) -> None:
        self._cloud = cloud
        self.networks: dict[str, Published[ExpansionLinkSpec]] = {}

    def start(self, wake: object) -> None: ...
    def stop(self) -> None: ...
    def follow(self, kubeconfigs: Mapping[str, bytes]) -> None:
        self._cloud.peers.follow(kubeconfigs)

    def views(self) -> Mapping[str, PeerView]:
        views = self._cloud.peers.views()
        return {**views, "cloud-a": replace(views["cloud-a"], links=SharedMapping(dict(self.networks)))}

    def publish(self, number: int, tunnel_id: int | None = None, *, generation: int = 1, network_id: str = "") -> str:
        """Offer one network; return its link name."""
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
def scenario() -> Scenario:
    return Scenario()


@pytest.fixture
def peers(scenario: Scenario) -> Peers:
    """What cloud A publishes for B, which accepts two networks."""
    peers = Peers(scenario.b)
    scenario.b.restart(replace(scenario.b.backends, peers=peers))
    scenario.b.kubectl.apply(scenario.b.cloud_peer(scenario.a, agreement={"limits": {"networks": LIMIT}}))
    scenario.b.cycle()
    return peers


def _settle(cloud: FakeCloud) -> Outcome:
    for _ in range(20):
        outcome = cloud.cycle()
        if not outcome.actions:
            return outcome
    raise AssertionError("the controller does not converge")


def _verdicts(cloud: FakeCloud) -> list[tuple[str, str]]:
    return sorted((k.spec.answer.verdict, k.spec.answer.reason) for k in cloud.links() if k.spec.answer)


def test_number_of_considered_offers_is_bounded(scenario: Scenario, peers: Peers) -> None:
    for number in range(1, 200):
        peers.publish(number)
    assert _settle(scenario.b).failures == {}
    assert _verdicts(scenario.b) == [("Accepted", "Accepted")] * LIMIT + [("Refused", "LimitReached")] * (LIMIT + SPARE)


@pytest.mark.parametrize("networks", [LIMIT + SPARE + 7, pytest.param(100, marks=pytest.mark.long)])
def test_waiting_offers_are_accepted_as_others_are_withdrawn(scenario: Scenario, peers: Peers, networks: int) -> None:
    offered = [peers.publish(number) for number in range(1, networks + 1)]
    connected = set[str]()
    while peers.networks:
        _settle(scenario.b)
        now = {k.metadata.name for k in scenario.b.links() if k.spec.answer and k.spec.answer.verdict == "Accepted"}
        assert now - connected
        connected |= now
        for name in now:
            del peers.networks[name]
            _withdrawn(scenario, peers, name)
    assert connected == set(offered)
    assert scenario.b.neutron.find_domain("isthmus-cloud-a") is None


def _withdrawn(scenario: Scenario, peers: Peers, name: str) -> None:
    """The peer withdraws one network, and deletes its link when B has released it."""
    spec = _offer(name.partition(".")[2], 0x100000 + int(name.partition(".")[2][:8], 16))
    number = int(name.partition(".")[2][:8], 16)
    peers.networks[name] = Published(f"uid-{number}", 2, spec.model_copy(update={"state": "Withdrawn"}))
    _settle(scenario.b)
    del peers.networks[name]
    scenario.federation.clock.move(301)
    _settle(scenario.b)
    scenario.federation.clock.move(301)
    _settle(scenario.b)


def test_networks_with_colliding_names_on_a_node(
    scenario: Scenario, peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever chooses both IDs finds a colliding pair within minutes."""
    monkeypatch.setattr(names, "patch_in_cloud_bridge", lambda _: "isctwin")
    peers.publish(1)
    peers.publish(2)
    _settle(scenario.b)
    assert _verdicts(scenario.b) == [("Accepted", "Accepted"), ("Refused", "InvalidOffer")]


@pytest.mark.parametrize("gateways", [("gw-cloud-c",), ("one", "two")], ids=["another peer's", "its own"])
def test_gateways_with_colliding_names_on_a_node(
    scenario: Scenario, gateways: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    alike = {("cloud-b", "gw-cloud-c"), ("cloud-c", "gw-cloud-c"), ("cloud-b", "one"), ("cloud-b", "two")}
    real = names.tunnel_port
    monkeypatch.setattr(names, "tunnel_port", lambda *key: "isttwin" if key in alike else real(*key))
    link = scenario.b.kubectl.get(PeerLink, "cloud-b", names.peer_namespace("cloud-a"))
    assert link is not None
    published = tuple(PeerGateway(name=name, address=f"192.0.3.{n}") for n, name in enumerate(gateways, start=11))
    forged = link.model_copy(update={"spec": link.spec.model_copy(update={"gateways": published})})
    FakeCluster(scenario.b.store).apply(forged)
    scenario.a.cycle()
    assert reason(scenario.a.peer("cloud-b")) == "GatewayRefused"
    assert reason(scenario.a.peer("cloud-c")) != "GatewayRefused"


def test_changed_project_in_a_newer_offer_leaves_no_project_behind(scenario: Scenario, peers: Peers) -> None:
    name = peers.publish(1)
    _settle(scenario.b)
    published = peers.networks[name]
    assert published.spec is not None
    assert published.spec.offer is not None
    offer = published.spec.offer.model_copy(update={"project": OfferedProject(id="another", name="x")})
    spec = published.spec.model_copy(update={"offer": offer})
    peers.networks[name] = Published(published.uid, 2, spec)
    _settle(scenario.b)
    peers.networks[name] = Published(published.uid, 3, spec.model_copy(update={"state": "Withdrawn"}))
    _settle(scenario.b)
    assert scenario.b.attachments() == []
    assert scenario.b.neutron.find_domain("isthmus-cloud-a") is None


def test_spec_changed_without_a_new_generation_is_ignored(scenario: Scenario, peers: Peers) -> None:
    """A server that does not increment generations must not get two networks onto one tunnel ID."""
    for number in (1, 2):
        peers.publish(number)
    waiting = peers.publish(3, 0x100007)
    _settle(scenario.b)
    assert _verdicts(scenario.b) == [("Accepted", "Accepted")] * 2 + [("Refused", "LimitReached")]
    peers.publish(1, 0x100007, generation=2)
    peers.publish(3, 0x100009)
    scenario.b.kubectl.apply(scenario.b.cloud_peer(scenario.a, agreement={"limits": {"networks": LIMIT + 1}}))
    _settle(scenario.b)
    connected = {a.metadata.name: [path.tunnel_id for path in a.spec.links] for a in scenario.b.attachments()}
    assert connected.pop(waiting, []) != [0x100007]
    assert sorted(connected.values()) == [[0x100002], [0x100007]]


def test_peer_does_not_learn_the_owner_of_an_address(scenario: Scenario) -> None:
    """The peer reads the status of our PeerLink; information about others must not appear there."""
    expected = set()
    for address in ("192.0.4.11", "192.0.2.11", "198.51.100.9"):
        link = scenario.b.kubectl.get(PeerLink, "cloud-b", names.peer_namespace("cloud-a"))
        assert link is not None
        gateways = (PeerGateway(name="g", address=address),)
        FakeCluster(scenario.b.store).apply(
            link.model_copy(update={"spec": link.spec.model_copy(update={"gateways": gateways})})
        )
        scenario.a.cycle()
        ours = scenario.a.kubectl.get(PeerLink, "cloud-a", names.peer_namespace("cloud-b"))
        assert ours is not None
        assert reason(scenario.a.peer("cloud-b")) == "GatewayRefused"
        expected |= {(c.reason, c.message) for c in ours.status.conditions}
    assert len(expected) == 1
