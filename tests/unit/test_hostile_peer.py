"""A peer that publishes forged objects: they are refused by name, and the last accepted spec stays in force."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, Literal

import pytest

from isthmus.model import names
from isthmus.model.api.objects import ObjectMeta
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway
from isthmus.model.api.v1alpha1.expansionlink import ExpansionLink, ExpansionLinkSpec, Offer
from isthmus.model.api.v1alpha1.networkexpansion import NetworkExpansion
from isthmus.model.api.v1alpha1.peerlink import PeerLink
from isthmus.model.facts.tolerance import understand
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, reason
from tests.fakes.scenario import Scenario, Stretched
from tests.unit.test_newer_peer import edit, understood


@pytest.fixture
def ready() -> Scenario:
    return Scenario()


def _forge(cloud: FakeCloud, for_peer: str) -> PeerLink:
    """Change what the peer publishes for us, behind its controller's back."""
    link = cloud.kubectl.get(PeerLink, cloud.cloud_id, names.peer_namespace(for_peer))
    assert link is not None
    return link


@pytest.mark.parametrize(
    ("address", "expected"),
    [("192.0.2.11", "this cloud"), ("192.0.4.11", "another peer"), ("198.51.100.9", "outside")],
)
def test_foreign_gateway_address_is_refused_and_the_last_accepted_spec_is_kept(
    ready: Scenario, address: str, expected: str
) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    honest = _forge(ready.b, "cloud-a")
    gateways = (PeerGateway(name="gw-cloud-b", address=address),)
    forged = honest.model_copy(update={"spec": honest.spec.model_copy(update={"gateways": gateways})})
    FakeCluster(ready.b.store).apply(forged)
    ready.a.cycle()
    peer = ready.a.peer("cloud-b")
    assert reason(peer) == "GatewayRefused"
    assert expected in peer.status.conditions[0].message
    assert [g.address for g in peer.status.gateways] == ["192.0.3.11"]
    (attachment,) = ready.a.attachments()
    assert attachment.spec.links[0].gateway.address == "192.0.3.11"
    assert reason(ready.a.expansion()) == "Ready"
    assert ready.outcome() == "Ready"  # once B's controller has restored its spec


@pytest.mark.parametrize("address", ["240.0.0.2", "255.255.255.255", "224.0.0.9", "fe80::1", "::1"])
def test_address_that_no_gateway_can_have_is_refused_also_in_a_wide_network(ready: Scenario, address: str) -> None:
    ready.a.kubectl.apply(ready.a.cloud_peer(ready.b, gatewayCIDRs=[ready.b.gateway_cidr, "f000::/4", "::/3"]))
    honest = _forge(ready.b, "cloud-a")
    gateways = (PeerGateway(name="gw-cloud-b", address=address),)
    FakeCluster(ready.b.store).apply(
        honest.model_copy(update={"spec": honest.spec.model_copy(update={"gateways": gateways})})
    )
    ready.a.cycle()
    peer = ready.a.peer("cloud-b")
    assert reason(peer) == "GatewayRefused"
    assert "which no gateway can have" in peer.status.conditions[0].message
    assert [g.address for g in peer.status.gateways] == ["192.0.3.11"]


@pytest.mark.parametrize(("first", "last"), [(5, 5), (6, 5)])
def test_invalid_range_of_tunnel_ids(ready: Scenario, first: int, last: int) -> None:
    honest = _forge(ready.b, "cloud-a")
    id_range = honest.spec.tunnel.id_range.model_copy(update={"first": first, "last": last})
    tunnel = honest.spec.tunnel.model_copy(update={"id_range": id_range})
    FakeCluster(ready.b.store).apply(
        honest.model_copy(update={"spec": honest.spec.model_copy(update={"tunnel": tunnel})})
    )
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "InvalidPeerLink"


def test_gateway_name_used_twice(ready: Scenario) -> None:
    honest = _forge(ready.b, "cloud-a")
    gateways = tuple(PeerGateway(name="gw-cloud-b", address=f"192.0.3.{n}") for n in (11, 12))
    forged = honest.model_copy(update={"spec": honest.spec.model_copy(update={"gateways": gateways})})
    FakeCluster(ready.b.store).apply(forged)
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "GatewayRefused"


@pytest.mark.parametrize("nat", ["Behind", "Forwarded"])
def test_gateways_behind_one_address(ready: Scenario, nat: Literal["Behind", "Forwarded"]) -> None:
    """They may share it, but no port of it."""
    honest = _forge(ready.b, "cloud-a")
    gateways = tuple(PeerGateway(name=f"gw-{n}", address="192.0.3.11", nat=nat) for n in (1, 2))
    forged = honest.model_copy(update={"spec": honest.spec.model_copy(update={"gateways": gateways})})
    FakeCluster(ready.b.store).apply(forged)
    ready.a.cycle()
    peer = ready.a.peer("cloud-b")
    if nat == "Behind":
        assert reason(peer) != "GatewayRefused"
        assert peer.status.gateways == gateways
    else:
        assert reason(peer) == "GatewayRefused"
        assert "192.0.3.11 UDP port 500 twice" in peer.status.conditions[0].message


def test_link_with_both_offer_and_answer(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (ours,), (theirs,) = ready.a.links(), ready.b.links()
    both = theirs.model_copy(update={"spec": theirs.spec.model_copy(update={"offer": ours.spec.offer})})
    FakeCluster(ready.b.store).apply(both)
    ready.a.cycle()
    (link,) = ready.a.links()
    assert reason(link) == "InvalidOffer"
    assert link.status.peer is not None
    assert link.status.peer.spec.offer is None


def test_peer_that_claims_another_cloud_id(ready: Scenario) -> None:
    honest = _forge(ready.b, "cloud-a")
    forged = honest.model_copy(update={"spec": honest.spec.model_copy(update={"cloud_id": "cloud-c"})})
    FakeCluster(ready.b.store).apply(forged)
    ready.a.cycle()
    assert reason(ready.a.peer("cloud-b")) == "WrongCloudID"


def _forged_offer(ready: Scenario, **changes: object) -> str:
    """Change the link that cloud A publishes, behind its controller's back; B's answer."""
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    offer = Offer.model_validate(link.spec.offer.model_dump() | changes)
    FakeCluster(ready.a.store).apply(link.model_copy(update={"spec": link.spec.model_copy(update={"offer": offer})}))
    ready.b.cycle()
    (answered,) = [k for k in ready.b.links() if k.spec.answer]
    assert answered.spec.answer is not None
    assert answered.spec.answer.verdict == "Refused"
    assert ready.b.attachments() == []
    assert ready.openstack()[1] == ready.untouched[1]
    return answered.spec.answer.reason


def test_tunnel_id_of_our_range(ready: Scenario) -> None:
    assert _forged_offer(ready, tunnel_id=0x108000) == "InvalidTunnelID"


def _offered_subnet(**changes: object) -> dict[str, object]:
    honest = {"id": "00000000-0000-0000-0000-000000000001", "cidr": "10.20.0.0/24", "gateway_ip": "10.20.0.1"}
    return honest | {"first": "10.20.0.192", "last": "10.20.0.254"} | changes


@pytest.mark.parametrize(
    "changes",
    [
        {"first": "10.20.1.1", "last": "10.20.1.9"},
        {"first": "10.20.0.254", "last": "10.20.0.192"},
        {"last": "10.20.0.255"},
        {"gateway_ip": "10.20.0.200"},
        {"gateway_ip": "10.99.0.1"},
        {"cidr": "127.0.0.0/8", "first": "127.0.0.1", "last": "127.0.0.9", "gateway_ip": None},
    ],
)
def test_invalid_offer(ready: Scenario, changes: dict[str, object]) -> None:
    assert _forged_offer(ready, subnets=[_offered_subnet(**changes)]) == "InvalidOffer"


def test_tunnel_id_in_use_refuses_only_the_second_offer(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    ready.a.expand(ready.second_network("10.21.0.0/24"), "cloud-b", name="db")
    ready.a.cycle()
    first, second = sorted((k for k in ready.a.links() if k.spec.offer), key=lambda k: k.metadata.name)
    assert first.spec.offer is not None
    assert second.spec.offer is not None
    stolen = second.spec.offer.model_copy(update={"tunnel_id": first.spec.offer.tunnel_id})
    forged = second.model_copy(update={"spec": second.spec.model_copy(update={"offer": stolen})})
    FakeCluster(ready.a.store).apply(forged)
    ready.b.cycle()
    answers = {k.metadata.name: k.spec.answer for k in ready.b.links() if k.spec.answer}
    assert answers[first.metadata.name].verdict == "Accepted"
    assert (answers[second.metadata.name].verdict, answers[second.metadata.name].reason) == ("Refused", "TunnelIDInUse")


def test_invalid_newer_offer_keeps_the_last_accepted_one(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (link,) = ready.a.links()
    assert link.spec.offer is not None
    bad = link.spec.offer.model_copy(update={"tunnel_id": 0x108000})
    FakeCluster(ready.a.store).apply(link.model_copy(update={"spec": link.spec.model_copy(update={"offer": bad})}))
    before = ready.b.attachments()
    ready.b.cycle()
    (ours,) = [k for k in ready.b.links() if k.spec.answer]
    assert ours.spec.answer is not None
    assert (ours.spec.answer.verdict, ours.spec.answer.reason) == ("Accepted", "InvalidTunnelID")
    assert [a.spec for a in ready.b.attachments()] == [a.spec for a in before]


def test_forged_ownership_marker_on_a_tenants_network_is_not_adopted(ready: Scenario) -> None:
    project, forged, _ = ready.b.tenant("thief")
    marker = names.marker(f"cloud-a.{ready.network.id}")
    forged = replace(forged, description=marker, tags=frozenset({names.NEUTRON_TAG}))
    ready.b.neutron.networks[forged.id] = forged
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    assert ready.b.neutron.networks[forged.id] == forged
    replicas = [n for n in ready.b.neutron.networks.values() if n.project_id != project]
    assert len(replicas) == 1


def test_forged_ownership_marker_in_the_replica_project_is_not_adopted(ready: Scenario) -> None:
    """Members of the replica project may describe their networks as they like."""
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (replica,) = ready.b.neutron.networks.values()
    second = ready.second_network("10.30.0.0/24")
    for marker in (names.marker(f"cloud-a.{second}"), replica.description.replace(ready.network.id, second)):
        ready.b.neutron.create_network(replica.project_id, "forged", 1400, marker)
    forged = [n for n in ready.b.neutron.networks.values() if n != replica]
    ready.a.expand(second, "cloud-b", name="second")
    assert ready.outcome("second") == "Ready"
    made = next(n for n in ready.b.neutron.networks.values() if n not in (replica, *forged))
    assert [s.cidr for s in ready.b.neutron.subnets_of(made.id)] == ["10.30.0.0/24"]
    ready.a.kubectl.delete(NetworkExpansion, "second", "shop")
    ready.settle()
    assert [*ready.b.neutron.networks.values()] == [replica, *forged]


def test_link_with_an_invalid_name_is_ignored(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    (link,) = ready.a.links()
    metadata = ObjectMeta(name="cloud-a.x", namespace=link.metadata.namespace)
    FakeCluster(ready.a.store, "hostile").apply(ExpansionLink(metadata=metadata, spec=link.spec))
    assert "cloud-a.x" not in ready.b.cycle().failures
    assert [k.metadata.name for k in ready.b.links()] == [link.metadata.name]


def test_unknown_reason_of_the_peer(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    assert ready.outcome() == "Ready"
    (theirs,) = ready.b.links()
    assert theirs.spec.answer is not None
    for invented in ("Ready", "YouOweUsMoney"):
        answer = theirs.spec.answer.model_copy(update={"verdict": "Refused", "reason": invented})
        FakeCluster(ready.b.store).apply(
            theirs.model_copy(update={"spec": theirs.spec.model_copy(update={"answer": answer})})
        )
        ready.a.cycle()
        assert reason(ready.a.expansion()) == "Refused"


def test_forged_link_of_a_third_cloud(ready: Scenario) -> None:
    ready.c.tenant()
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    (link,) = ready.a.links()
    origin = link.spec.origin.model_copy(update={"cloud_id": "cloud-c"})
    metadata = ObjectMeta(name=origin.link_name, namespace=link.metadata.namespace)
    forged = ExpansionLink(metadata=metadata, spec=link.spec.model_copy(update={"origin": origin}))
    FakeCluster(ready.a.store, "hostile").apply(forged)
    ready.b.cycle()
    assert [k.metadata.name for k in ready.b.links()] == [link.metadata.name]


def _name_members(count: int) -> Callable[[dict[str, Any]], None]:
    members = [{"number": 3 + index % 200, "tunnelID": 0x101000 + index} for index in range(count)]
    return lambda spec: spec["offer"].update(number=2, members=members)


def _grow(count: int) -> Callable[[dict[str, Any]], None]:
    """Ranges of two addresses, as long as there are any in the subnet."""
    hosts = [2 + 3 * (index % 60) for index in range(count)]
    ranges = [{"first": f"10.20.0.{host}", "last": f"10.20.0.{host + 1}"} for host in hosts]
    return lambda spec: spec["offer"]["subnets"][0].update(furtherRanges=ranges)


def test_ten_thousand_members(ready: Scenario) -> None:
    ready.a.expand(ready.network.id, "cloud-b")
    ready.a.cycle()
    edit(ready.a, ready.b, "ExpansionLink", _name_members(10_000))
    ready.b.cycle()
    (answered,) = [link for link in ready.b.links() if link.spec.answer]
    assert answered.spec.answer is not None
    assert (answered.spec.answer.verdict, answered.spec.answer.reason) == ("Refused", "InvalidOffer")
    assert understood(ready.b, "cloud-a") == ("False", f"left out: {answered.metadata.name}: offer.members")
    assert (ready.b.attachments(), ready.openstack()[1]) == ([], ready.untouched[1])


def test_slice_that_grows_without_end() -> None:
    """It is cut to 16 ranges; what is stretched goes on with them."""
    stretched = Stretched()
    (subnet,) = stretched.b.neutron.subnets.values()
    edit(stretched.a, stretched.b, "ExpansionLink", _grow(20))
    stretched.b.cycle()
    (link,) = stretched.b.links()
    assert link.spec.answer is not None
    assert (link.spec.answer.verdict, link.spec.answer.reason) == ("Accepted", "Accepted")
    assert understood(stretched.b, "cloud-a") == (
        "False",
        f"left out: {link.metadata.name}: offer.subnets[].furtherRanges",
    )
    pools = stretched.b.neutron.subnets[subnet.id].pools
    assert len(pools) == 16
    assert {(pool.first, pool.last) for pool in subnet.pools} < {(pool.first, pool.last) for pool in pools}
    assert max(int(pool.first.rpartition(".")[2]) for pool in pools if pool not in subnet.pools) == 2 + 3 * 14


def _calls(act: Callable[[], object]) -> int:
    """How many functions are called."""
    count, before = 0, sys.getprofile()

    def profile(_: object, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("many", [_name_members, _grow])
def test_reading_takes_no_more_work_than_the_longest_list_that_is_allowed(
    many: Callable[[int], Callable[[dict[str, Any]], None]],
) -> None:
    (link,) = Stretched().a.links()
    honest = link.spec.model_dump(mode="json", by_alias=True, exclude_none=True)

    def work(count: int) -> int:
        forged = deepcopy(honest)
        many(count)(forged)
        assert understand(ExpansionLinkSpec, forged).spec is not None
        return _calls(lambda: understand(ExpansionLinkSpec, forged))

    assert work(10_000) == work(100)
