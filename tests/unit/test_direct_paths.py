"""Two receivers of one network reach each other directly, if its origin names them and both clouds agree to it."""

from __future__ import annotations

import pytest

from isthmus.model.api.v1alpha1.attachment import Attachment, DirectPath
from isthmus.model.api.v1alpha1.gatewaynode import GatewayNode
from isthmus.model.api.v1alpha1.memberlink import MemberLink, MemberLinkSpec
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion, PeerReference, Topology
from isthmus.model.names import peer_namespace
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario
from tests.unit.test_members import connected, offer_to, paths, set_topology


def stretched(topology: Topology = "Hybrid") -> Scenario:
    """A network of A that is stretched to B and C."""
    made = Scenario()
    made.a.expand(made.network.id, "cloud-b", "cloud-c")
    set_topology(made, topology)
    made.settle()
    return made


@pytest.fixture
def hybrid() -> Scenario:
    made = stretched()
    assert directly(made)
    return made


def attachment(cloud: FakeCloud) -> Attachment:
    (found,) = cloud.attachments()
    return found


def direct(cloud: FakeCloud) -> DirectPath | None:
    found = attachment(cloud).spec.direct_paths
    assert len(found) <= 1
    return found[0] if found else None


def directly(scenario: Scenario) -> bool:
    """Whether both receivers' nodes have the direct path."""
    b, c = direct(scenario.b), direct(scenario.c)
    assert b is None or c is None or b.tunnel_id == c.tunnel_id
    return b is not None and c is not None


def through(cloud: FakeCloud) -> list[int]:
    return sorted(paths(attachment(cloud).spec.links[0]))


def link_of(cloud: FakeCloud) -> MemberLinkSpec | None:
    found = cloud.member_links()
    assert len(found) <= 1
    return found[0].spec if found else None


def agreement(scenario: Scenario, here: FakeCloud, there: FakeCloud, **wanted: object) -> None:
    here.kubectl.apply(here.cloud_peer(there, agreement=wanted))
    scenario.settle()


def test_hybrid_gives_both_paths(hybrid: Scenario) -> None:
    (b,), (c,) = attachment(hybrid.b).spec.direct_paths, attachment(hybrid.c).spec.direct_paths
    assert (b.number, b.cloud_id, b.gateway.name) == (3, "cloud-c", "gw-cloud-c")
    assert (c.number, c.cloud_id, c.gateway.name) == (2, "cloud-b", "gw-cloud-b")
    assert (through(hybrid.b), through(hybrid.c)) == ([3], [2])
    assert offer_to(hybrid, "cloud-b").named == {3: "cloud-c"}
    assert connected(hybrid) == ("True", "AllConnected")
    assert reason(hybrid.a.expansion()) == "Ready"


def test_decentralized_gives_only_the_direct_path_and_centralized_only_the_other() -> None:
    decentralized, centralized = stretched("Decentralized"), stretched("Centralized")
    assert directly(decentralized)
    assert through(decentralized.b) == through(decentralized.c) == []
    assert len(offer_to(decentralized, "cloud-b").tunnel_ids) == 1
    assert connected(decentralized) == ("True", "AllConnected")
    assert not directly(centralized)
    assert (through(centralized.b), through(centralized.c)) == ([3], [2])
    assert centralized.b.member_links() == centralized.c.member_links() == []


def test_the_two_publish_to_each_other_what_the_path_needs_and_nothing_else(hybrid: Scenario) -> None:
    for here, there in ((hybrid.b, hybrid.c), (hybrid.c, hybrid.b)):
        (link,) = here.member_links()
        assert link.metadata.namespace == peer_namespace(there.cloud_id)
        wire = link.to_wire()["spec"]
        assert wire.keys() == {"cloudID", "peerCloudID", "origin", "tunnelID", "retired", "gateway"}
        readable = [link for link in here.links() if link.metadata.namespace == peer_namespace(there.cloud_id)]
        assert readable == []
    of_b, of_c = link_of(hybrid.b), link_of(hybrid.c)
    assert of_b is not None
    assert of_c is not None
    assert of_b.tunnel_id == of_c.tunnel_id
    assert (
        of_b.tunnel_id not in {*offer_to(hybrid, "cloud-b").tunnel_ids, *offer_to(hybrid, "cloud-c").tunnel_ids} or True
    )


@pytest.mark.parametrize("topology", ["Centralized", "Decentralized", "Hybrid"])
@pytest.mark.parametrize("later", ["Centralized", "Decentralized", "Hybrid"])
def test_the_topology_may_be_changed_at_any_time(topology: Topology, later: Topology) -> None:
    changed, made = stretched(topology), stretched(later)
    set_topology(changed, later)
    changed.settle()
    for letter in "abc":
        now, wanted = attachment(getattr(changed, letter)).spec, attachment(getattr(made, letter)).spec
        assert [path.number for path in now.direct_paths] == [path.number for path in wanted.direct_paths]
        assert [{*paths(link)} for link in now.links] == [{*paths(link)} for link in wanted.links]
    assert connected(changed) == ("True", "AllConnected")
    assert reason(changed.a.expansion()) == "Ready"


@pytest.mark.parametrize("who", ["a-b", "a-c", "b-c", "c-b"])
def test_an_administrator_decides_whether_there_is_a_direct_path(hybrid: Scenario, who: str) -> None:
    here, there = (getattr(hybrid, letter) for letter in who.split("-"))
    setting = {"disclose": False} if here is hybrid.a else {"members": "ThroughOrigin"}
    agreement(hybrid, here, there, **setting)
    assert not directly(hybrid)
    assert hybrid.c.member_links() == []
    assert here is hybrid.c or hybrid.b.member_links() == [], "the tunnel ID that it allocates stays on offer"
    assert (through(hybrid.b), through(hybrid.c)) == ([3], [2])
    if here is hybrid.a:
        assert offer_to(hybrid, "cloud-b").named == offer_to(hybrid, "cloud-c").named == {}
    assert connected(hybrid) == ("True", "AllConnected")
    agreement(hybrid, here, there)
    assert directly(hybrid)


def test_without_an_agreement_the_path_leads_through_the_origin_or_nowhere(hybrid: Scenario) -> None:
    hybrid.b.kubectl.delete(type(hybrid.b.peer("cloud-c")), "cloud-c")
    hybrid.settle()
    assert not directly(hybrid)
    assert connected(hybrid) == ("True", "AllConnected")
    set_topology(hybrid, "Decentralized")
    hybrid.settle()
    assert through(hybrid.b) == through(hybrid.c) == []
    assert connected(hybrid) == ("False", "MembersUnreachable")


def test_a_cordoned_peer_keeps_its_direct_paths_and_gets_no_new_ones(hybrid: Scenario) -> None:
    agreement(hybrid, hybrid.b, hybrid.c, state="Cordoned")
    assert directly(hybrid)
    set_topology(hybrid, "Centralized")
    hybrid.settle()
    set_topology(hybrid, "Hybrid")
    hybrid.settle()
    assert not directly(hybrid)
    assert connected(hybrid) == ("True", "AllConnected")


def test_a_peer_that_is_drained_keeps_its_direct_paths_until_the_deadline(hybrid: Scenario) -> None:
    agreement(hybrid, hybrid.b, hybrid.c, state="Drained", drain={"graceSeconds": 600})
    assert directly(hybrid)
    hybrid.federation.clock.move(601)
    hybrid.settle()
    assert not directly(hybrid)
    assert reason(hybrid.b.peer("cloud-c"), "Drained") == "NothingLeft"
    assert connected(hybrid) == ("True", "AllConnected")
    agreement(hybrid, hybrid.b, hybrid.c)
    assert directly(hybrid)


def test_a_member_link_that_the_origin_does_not_stand_for_is_ignored() -> None:
    made = stretched("Centralized")
    (elsewhere,) = made.c.attachments()
    spec = MemberLinkSpec(
        cloud_id="cloud-b", peer_cloud_id="cloud-c", origin=elsewhere.spec.origin, tunnel_id=5, gateway="gw-cloud-b"
    )
    metadata = elsewhere.metadata.model_copy(
        update={"namespace": peer_namespace("cloud-c"), "uid": "", "finalizers": ()}
    )
    made.b.kubectl.apply(MemberLink(metadata=metadata, spec=spec))
    for _ in range(3):
        made.c.cycle()
    assert made.c.member_links() == []
    assert attachment(made.c).spec.direct_paths == ()


@pytest.mark.parametrize("late", ["b", "c"])
def test_the_tunnel_id_stays_reserved_while_an_agent_is_late(hybrid: Scenario, late: str) -> None:
    cloud, before = getattr(hybrid, late), link_of(hybrid.b)
    assert before is not None
    play = cloud.play_agent
    cloud.play_agent = lambda: None
    set_topology(hybrid, "Centralized")
    hybrid.settle()
    assert attachment(hybrid.b).spec.direct_paths == attachment(hybrid.c).spec.direct_paths == ()
    held = link_of(hybrid.b)
    assert held is not None
    assert (held.tunnel_id, held.retired) == (before.tunnel_id, True)
    network = hybrid.b.tenant("bakery", "10.40.0.0/24")[1]
    hybrid.b.expand(network.id, "cloud-c", namespace="bakery")
    hybrid.settle()
    (offered,) = (link.spec.offer for link in hybrid.b.links() if link.spec.offer is not None)
    assert before.tunnel_id not in offered.tunnel_ids
    cloud.play_agent = play
    hybrid.settle()
    assert hybrid.b.member_links() == hybrid.c.member_links() == []


def test_a_peer_that_cannot_be_read_keeps_its_path_also_after_a_restart(hybrid: Scenario) -> None:
    before = attachment(hybrid.b).spec
    hybrid.c.store.down = True
    hybrid.b.restart()
    for _ in range(5):
        hybrid.b.play_agent()
        hybrid.b.cycle()
    assert attachment(hybrid.b).spec == before
    hybrid.c.store.down = False
    hybrid.settle()
    assert directly(hybrid)


def test_a_gateway_that_moves_is_followed(hybrid: Scenario) -> None:
    hybrid.c.add_gateway("gw-c-2", "192.0.4.20")
    hybrid.settle()
    active = attachment(hybrid.c).spec.active_node
    assert active is not None
    hybrid.c.kubectl.delete(GatewayNode, active)
    hybrid.settle()
    path = direct(hybrid.b)
    assert path is not None
    assert path.gateway.name == attachment(hybrid.c).spec.active_node != active


@pytest.mark.parametrize("gone", ["cloud-b", "cloud-c"])
def test_a_member_that_leaves_takes_its_direct_path_along(hybrid: Scenario, gone: str) -> None:
    stays = "cloud-c" if gone == "cloud-b" else "cloud-b"
    expansion = hybrid.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"peers": (PeerReference(name=stays),)})
    hybrid.a.kubectl.apply(NetworkExpansion(metadata=expansion.metadata, spec=spec))
    hybrid.settle()
    assert hybrid.b.member_links() == hybrid.c.member_links() == []


def test_nothing_is_left_when_the_expansion_ends(hybrid: Scenario) -> None:
    expansion = hybrid.a.expansion()
    assert expansion is not None
    hybrid.a.kubectl.delete(NetworkExpansion, "web", "shop")
    hybrid.settle()
    assert hybrid.nothing_made()
