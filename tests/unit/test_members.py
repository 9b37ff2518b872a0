"""Receivers of one network reach each other through its origin, which names none of them to another."""

from __future__ import annotations

import pytest

from isthmus.model.api.objects import condition_of
from isthmus.model.api.v1alpha1.attachment import Attachment, AttachmentLink
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, Offer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion, PeerReference, Topology
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.names import peer_namespace
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.gateways import entry_of
from tests.fakes.scenario import Scenario


@pytest.fixture
def ready() -> Scenario:
    """A network of A that is stretched to B and C."""
    made = Scenario()
    made.a.expand(made.network.id, "cloud-b", "cloud-c")
    made.settle()
    assert reason(made.a.expansion()) == "Ready"
    return made


def link_to(scenario: Scenario, cloud: str) -> ExpansionLink:
    return next(link for link in scenario.a.links() if link.spec.peer_cloud_id == cloud)


def offer_to(scenario: Scenario, cloud: str) -> Offer:
    offer = link_to(scenario, cloud).spec.offer
    assert offer is not None
    return offer


def attachment(cloud: FakeCloud) -> Attachment:
    (found,) = cloud.attachments()
    return found


def paths(link: AttachmentLink) -> dict[int, int]:
    return {path.number: path.tunnel_id for path in link.members}


def stretch_to(scenario: Scenario, *peers: str) -> None:
    """The tenant changes the list of peers."""
    expansion = scenario.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"peers": tuple(PeerReference(name=peer) for peer in peers)})
    scenario.a.kubectl.apply(NetworkExpansion(metadata=expansion.metadata, spec=spec))


def set_topology(scenario: Scenario, topology: Topology) -> None:
    """The tenant changes the topology."""
    expansion = scenario.a.expansion()
    assert expansion is not None
    spec = expansion.spec.model_copy(update={"topology": topology})
    scenario.a.kubectl.apply(NetworkExpansion(metadata=expansion.metadata, spec=spec))


def connected(scenario: Scenario) -> tuple[str, str] | None:
    """Status and reason of the condition, as the tenant sees it."""
    expansion = scenario.a.expansion()
    assert expansion is not None
    found = condition_of(expansion.status.conditions, "MembersConnected")
    return (found.status, found.reason) if found else None


def test_each_receiver_learns_of_the_other_a_number_and_a_tunnel_id(ready: Scenario) -> None:
    b, c = offer_to(ready, "cloud-b"), offer_to(ready, "cloud-c")
    assert (b.number, c.number) == (2, 3)
    assert [member.number for member in b.members] == [3]
    assert [member.number for member in c.members] == [2]
    assert len({*b.tunnel_ids}) == len({*c.tunnel_ids}) == 2
    assert connected(ready) == ("True", "AllConnected")


def test_nothing_that_a_receiver_reads_names_the_other_in_a_centralized_network(ready: Scenario) -> None:
    set_topology(ready, "Centralized")
    ready.settle()
    for home, other in (("cloud-b", "cloud-c"), ("cloud-c", "cloud-b")):
        readable = [link for link in ready.a.links() if link.metadata.namespace == peer_namespace(home)]
        assert readable
        assert not [link for link in readable if other in str(link.to_wire())]


def test_nodes_get_the_paths_of_what_is_published(ready: Scenario) -> None:
    (to_b, to_c), (b,), (c,) = (attachment(cloud).spec.links for cloud in ready.federation.clouds)
    ids = {cloud: offer_to(ready, cloud).members[0].tunnel_id for cloud in ("cloud-b", "cloud-c")}
    assert (to_b.number, paths(to_b)) == (2, {3: ids["cloud-b"]})
    assert (to_c.number, paths(to_c)) == (3, {2: ids["cloud-c"]})
    assert (b.number, paths(b)) == (None, paths(to_b))
    assert (c.number, paths(c)) == (None, paths(to_c))


def test_a_member_that_has_not_accepted_is_listed_to_nobody() -> None:
    made = Scenario()
    made.c.kubectl.apply(made.c.cloud_peer(made.a, agreement={"limits": {"networks": 0}}))
    made.settle()
    made.a.expand(made.network.id, "cloud-b", "cloud-c")
    made.settle()
    assert offer_to(made, "cloud-b").members == ()
    assert offer_to(made, "cloud-c").members == ()
    assert connected(made) is None


def test_receivers_that_do_not_reach_each_other_are_named(ready: Scenario) -> None:
    def play(cloud: FakeCloud) -> None:
        """The agent, but no probe of another member comes back."""
        held = attachment(cloud)
        entry = entry_of(f"gw-{cloud.cloud_id}", held)
        down = tuple(member.model_copy(update={"up": False}) for member in entry.members)
        status = held.status.model_copy(update={"nodes": (entry.model_copy(update={"members": down}),)})
        cloud.agent.apply_status(held.model_copy(update={"status": status}))

    play(ready.b)
    ready.b.cycle()
    ready.a.cycle()
    assert connected(ready) == ("False", "MembersUnreachable")
    expansion = ready.a.expansion()
    assert expansion is not None
    condition = condition_of(expansion.status.conditions, "MembersConnected")
    assert condition is not None
    assert condition.message == "no dataplane probe comes back from cloud-c to cloud-b"
    assert reason(expansion) == "Ready", "each of them is connected to the origin"


def test_a_member_that_leaves_is_retired_until_nobody_has_its_tunnel_ids(ready: Scenario) -> None:
    before = offer_to(ready, "cloud-b")
    stretch_to(ready, "cloud-b")
    ready.a.cycle()
    retired = offer_to(ready, "cloud-b").members
    assert [(member.number, member.retired) for member in retired] == [(3, True)]
    assert {member.tunnel_id for member in retired} == {member.tunnel_id for member in before.members}
    ready.settle()
    assert offer_to(ready, "cloud-b").members == ()
    assert attachment(ready.b).spec.links[0].members == ()
    assert [link.spec.peer_cloud_id for link in ready.a.links()] == ["cloud-b"]
    assert connected(ready) is None


@pytest.mark.parametrize("late", ["a", "b"])
def test_tunnel_ids_stay_reserved_while_an_agent_is_late(ready: Scenario, late: str) -> None:
    """The agent of the origin, or of the receiver that remains: frames must not enter another network by it."""
    cloud = ready.a if late == "a" else ready.b
    before, play = offer_to(ready, "cloud-b").tunnel_ids, cloud.play_agent
    cloud.play_agent = lambda: None  # type: ignore[method-assign]
    stretch_to(ready, "cloud-b")
    ready.settle()
    assert offer_to(ready, "cloud-b").tunnel_ids == before
    assert offer_to(ready, "cloud-b").members[0].retired
    if late == "a":
        assert link_to(ready, "cloud-c").spec.state == "Withdrawn", "its tunnel IDs are in use here"
        assert reason(link_to(ready, "cloud-c")) == "WaitingForAgent"
    other = ready.second_network("10.30.0.0/24")
    ready.a.expand(other, "cloud-b", name="db")
    ready.settle()
    new = next(link for link in ready.a.links() if link.spec.origin.network_id == other)
    assert new.spec.offer is not None
    assert new.spec.offer.tunnel_id not in before
    cloud.play_agent = play  # type: ignore[method-assign]
    ready.settle()
    assert offer_to(ready, "cloud-b").members == ()
    assert [link.spec.peer_cloud_id for link in ready.a.links()] == ["cloud-b", "cloud-b"]


def test_everything_is_withdrawn_although_the_origins_agent_is_late(ready: Scenario) -> None:
    """The tenant does not wait for it; its Attachment and the tunnel IDs do."""
    play, ready.a.play_agent = ready.a.play_agent, lambda: None  # type: ignore[method-assign]
    ready.a.kubectl.delete(NetworkExpansion, "web", "shop")
    ready.settle()
    assert ready.a.expansion() is None
    assert {link.spec.state for link in ready.a.links()} == {"Withdrawn"}
    assert ready.openstack() == ready.untouched
    ready.a.play_agent = play  # type: ignore[method-assign]
    ready.settle()
    assert ready.kept() == []


def test_number_of_a_member_that_left_is_not_given_again_while_anybody_has_it(ready: Scenario) -> None:
    play, ready.b.play_agent = ready.b.play_agent, lambda: None  # type: ignore[method-assign]
    stretch_to(ready, "cloud-b")
    ready.settle()
    stretch_to(ready, "cloud-b", "cloud-c")
    ready.settle()
    assert offer_to(ready, "cloud-c").number == 4
    assert [(m.number, m.retired) for m in offer_to(ready, "cloud-b").members] == [(3, True), (4, False)]
    ready.b.play_agent = play  # type: ignore[method-assign]
    ready.settle()
    assert [(m.number, m.retired) for m in offer_to(ready, "cloud-b").members] == [(4, False)]
    assert connected(ready) == ("True", "AllConnected")


def test_peer_of_an_earlier_version_stays_connected_to_the_origin_and_is_named(ready: Scenario) -> None:
    held = ready.c.kubectl.get(PeerLink, "cloud-c", peer_namespace("cloud-a"))
    assert held is not None
    spec = held.spec.model_copy(update={"protocol_versions": (1, 2)})
    FakeCluster(ready.c.store).apply(held.model_copy(update={"spec": spec}))
    ready.a.cycle()
    assert connected(ready) == ("False", "PeerTooOld")
    assert [member.retired for member in offer_to(ready, "cloud-b").members] == [True]
    assert reason(ready.a.expansion()) == "Ready"
    ready.settle()  # C's controller publishes all its versions again
    assert connected(ready) == ("True", "AllConnected")


def test_the_network_has_one_mtu_in_all_clouds(ready: Scenario) -> None:
    """What the path to one member carries is decided for all of them: frames between the others pass it, too."""
    ready.a.carried_mtus["cloud-c"] = 1300
    ready.settle()
    mtus = {network.mtu for cloud in ready.federation.clouds for network in cloud.neutron.networks.values()}
    assert mtus == {1300}
    ready.a.carried_mtus.clear()
    ready.settle()
    mtus = {network.mtu for cloud in ready.federation.clouds for network in cloud.neutron.networks.values()}
    assert len(mtus) == 1
    assert mtus != {1300}
