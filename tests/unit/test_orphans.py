"""Forgetting one withdrawn network of a peer that does not confirm it, and what is believed to be left there."""

from __future__ import annotations

from isthmus.model import names
from isthmus.model.api.v1alpha1.attachment import Attachment
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from tests.fakes.federation import GRACE_SECONDS, FakeCloud, reason
from tests.fakes.scenario import Stretched

HOME = names.peer_namespace("cloud-b")


class Lost(Stretched):
    """A network that A has withdrawn while B is away for A, and B does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.name = names.link_name("cloud-a", self.network.id)
        (link,) = self.a.links()
        assert link.spec.offer is not None
        self.tunnel_id = link.spec.offer.tunnel_id
        self.part(True)
        self.withdraw()
        self.federation.settle()
        (link,) = self.a.links()
        assert link.spec.state == "Withdrawn"

    def part(self, is_away: bool) -> None:
        self.a.peers.unreachable = self.b.peers.unreachable = is_away

    def forget(self) -> None:
        annotate(self.a, self.name)
        self.federation.settle()

    def return_(self) -> None:
        self.part(False)
        self.federation.settle()


def annotate(cloud: FakeCloud, name: str) -> None:
    found = cloud.kubectl.get(ExpansionLink, name, HOME)
    assert found is not None
    metadata = found.metadata.model_copy(update={"annotations": {names.FORGET_ANNOTATION: "true"}})
    cloud.kubectl.apply(found.model_copy(update={"metadata": metadata}))


def orphans(cloud: FakeCloud) -> list[tuple[str, int]]:
    peer = cloud.kubectl.get(CloudPeer, "cloud-b")
    assert peer is not None
    return [(orphan.name, orphan.tunnel_id) for orphan in peer.status.orphans]


def tunnel_ids(cloud: FakeCloud) -> list[tuple[str, int]]:
    return [
        (attachment.metadata.name, path.tunnel_id)
        for attachment in cloud.kubectl.list_objects(Attachment)
        for path in attachment.spec.links
    ]


def test_a_forgotten_network_is_listed_and_no_longer_waited_for() -> None:
    lost = Lost()
    assert orphans(lost.a) == []
    lost.forget()
    assert lost.a.links() == []
    assert orphans(lost.a) == [(lost.name, lost.tunnel_id)]
    lost.a.restart()
    lost.federation.settle()
    assert orphans(lost.a) == [(lost.name, lost.tunnel_id)]


def test_only_a_withdrawn_network_is_forgotten() -> None:
    stretched = Stretched()
    annotate(stretched.a, names.link_name("cloud-a", stretched.network.id))
    stretched.federation.settle()
    assert (len(stretched.a.links()), orphans(stretched.a)) == (1, [])
    assert reason(stretched.a.expansion()) == "Ready"


def test_a_peer_that_returns_with_a_stale_link_joins_no_other_network() -> None:
    lost = Lost()
    machine = lost.b.neutron.boot(lost.replica_id, lost.b.neutron.networks[lost.replica_id].project_id)
    lost.forget()
    _, second, _ = lost.a.tenant("bakery", "10.30.0.0/24")
    lost.a.expand(second.id, "cloud-b", namespace="bakery")
    lost.federation.settle()
    offered = {link.metadata.name: link.spec.offer.tunnel_id for link in lost.a.links() if link.spec.offer}
    other = names.link_name("cloud-a", second.id)
    assert offered == {other: lost.tunnel_id}  # the ID of the network that B still has
    assert tunnel_ids(lost.b) == [(lost.name, lost.tunnel_id)]

    lost.return_()
    assert tunnel_ids(lost.b) == [(lost.name, lost.tunnel_id)]
    assert tunnel_ids(lost.a) == []
    assert reason(lost.a.expansion("bakery")) == "TunnelIDInUse"
    assert orphans(lost.a) == [(lost.name, lost.tunnel_id)]

    lost.federation.clock.move(GRACE_SECONDS)
    lost.federation.settle()
    assert reason(lost.a.expansion("bakery")) == "Ready"
    assert tunnel_ids(lost.b) == tunnel_ids(lost.a) == [(other, lost.tunnel_id)]
    assert lost.b.neutron.ports[machine.id] == machine


def test_it_is_off_the_list_when_the_peer_has_released_it() -> None:
    lost = Lost()
    lost.forget()
    lost.return_()
    assert orphans(lost.a) == [(lost.name, lost.tunnel_id)]
    lost.federation.clock.move(GRACE_SECONDS)
    lost.federation.settle()
    assert orphans(lost.a) == []
    assert (lost.b.links(), lost.b.attachments()) == ([], [])


def test_it_is_off_the_list_when_it_is_offered_again() -> None:
    lost = Lost()
    lost.forget()
    lost.a.expand(lost.network.id, "cloud-b")
    lost.return_()
    lost.federation.clock.move(GRACE_SECONDS)
    lost.federation.settle()
    assert reason(lost.a.expansion()) == "Ready"
    assert orphans(lost.a) == []
    assert tunnel_ids(lost.a) == tunnel_ids(lost.b)


def test_without_an_annotation_it_is_waited_for() -> None:
    lost = Lost()
    lost.federation.clock.move(10 * GRACE_SECONDS)
    lost.federation.settle()
    assert len(lost.a.links()) == 1
    lost.return_()
    assert (lost.a.links(), lost.a.kubectl.list_objects(NetworkExpansion)) == ([], [])
    assert orphans(lost.a) == []
