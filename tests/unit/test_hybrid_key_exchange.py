"""Hybrid key exchange: what policies offer, what charon is given, and what is said about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from isthmus.adapters.strongswan import messages
from isthmus.core.federation.agreement import Agreement, Disagreement, agree
from isthmus.core.federation.policy import policy_problem
from isthmus.core.keys.changes import keys_of_object
from isthmus.core.keys.key import peer_key
from isthmus.core.node.hybrid import loadable
from isthmus.core.snapshot.cache import Change
from isthmus.model import proposals
from isthmus.model.actions import Problem
from isthmus.model.api.objects import Condition, condition_of
from isthmus.model.api.schema import crd_of
from isthmus.model.api.v1alpha1 import ipsecpolicy
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.api.v1alpha1.peerlink import PeerLink, PeerLinkSpec
from isthmus.model.proposals import BASELINES, DEFAULT, GROUPS, HYBRIDS, KEY_EXCHANGES, is_hybrid
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.cluster import FakeCluster
from tests.fakes.federation import FakeCloud, FakeFederation
from tests.fakes.nodeobjects import NODE, peerlink, published_spec
from tests.unit.test_ike_messages import CONNECTION

CLASSICAL, HYBRID = "aes256gcm16-prfsha384-ecp384", "aes256gcm16-prfsha384-ecp384-ke1_mlkem768"
OLD, NEW = frozenset(GROUPS), frozenset(KEY_EXCHANGES)


def _policy(**spec: Any) -> IPsecPolicy:
    return IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": spec})


# What a policy offers.


def test_hybrid_comes_first_and_the_fallback_after_it() -> None:
    assert _policy().spec.offered.ike == (HYBRID, CLASSICAL)
    assert _policy(requireHybrid=True).spec.offered.ike == (HYBRID,)
    assert _policy().spec.offered.esp == _policy(requireHybrid=True).spec.offered.esp == DEFAULT.esp


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_has_hybrid_proposals_in_addition(name: str) -> None:
    offered, required = _policy(baseline=name).spec.offered.ike, _policy(baseline=name, requireHybrid=True).spec.offered
    assert set(offered) >= set(BASELINES[name].ike)
    assert [*offered] == sorted(offered, key=is_hybrid, reverse=True)
    assert required.ike == tuple(filter(is_hybrid, offered))
    assert len(required.ike) == len(BASELINES[name].ike)
    assert all(proposals.proposal_problem("IKE", proposal) is None for proposal in offered)
    PeerLinkSpec.model_validate(_spec(offered))


def test_own_lists_are_offered_as_they_are() -> None:
    for listed in ([CLASSICAL], [CLASSICAL, HYBRID], [HYBRID]):
        assert list(_policy(ike={"proposals": listed}).spec.offered.ike) == listed
    assert _policy(ike={"proposals": [HYBRID]}, requireHybrid=True).spec.offered.ike == (HYBRID,)


def test_classical_proposals_beside_required_hybrid_are_refused() -> None:
    policy = _policy(ike={"proposals": [HYBRID, CLASSICAL]}, requireHybrid=True)
    problem = policy_problem(policy)
    assert problem is not None
    assert ipsecpolicy.CLASSICAL_BESIDES_REQUIRED_HYBRID in problem.message
    for fine in (_policy(requireHybrid=True), _policy(ike={"proposals": [HYBRID]}, requireHybrid=True)):
        assert policy_problem(fine) is None
    spec = crd_of(IPsecPolicy)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    messages_ = [rule["message"] for rule in spec["x-kubernetes-validations"]]
    assert ipsecpolicy.CLASSICAL_BESIDES_REQUIRED_HYBRID in messages_


# What is agreed, and what of it charon is given.


def _spec(ike: tuple[str, ...], cloud_id: str = "cloud-a", peer: str = "cloud-b") -> dict[str, Any]:
    spec = published_spec(cloud_id, peer, {"name": f"gw-{cloud_id}", "address": "192.0.2.11"})
    return spec | {"ipsec": {"ikeProposals": list(ike), "espProposals": ["aes256gcm16-ecp384"]}}


def _agree(ours: tuple[str, ...], theirs: tuple[str, ...]) -> Agreement | Disagreement:
    one = PeerLinkSpec.model_validate(_spec(ours))
    return agree(one, PeerLinkSpec.model_validate(_spec(theirs, "cloud-b", "cloud-a")))


def test_agreement() -> None:
    found = _agree((HYBRID, CLASSICAL), (HYBRID, CLASSICAL))
    assert isinstance(found, Agreement)
    assert found.ike_proposals == (HYBRID, CLASSICAL)
    found = _agree((HYBRID, CLASSICAL), (CLASSICAL,))
    assert isinstance(found, Agreement)
    assert found.ike_proposals == (CLASSICAL,)


@pytest.mark.parametrize(("ours", "theirs"), [((HYBRID,), (CLASSICAL,)), ((CLASSICAL,), (HYBRID,))])
def test_required_by_one_and_not_offered_by_the_other(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    found = _agree(ours, theirs)
    assert isinstance(found, Disagreement)
    assert found.reason == "HybridRequired"
    demanding, other = ("this cloud", "the peer") if is_hybrid(ours[0]) else ("the peer", "this cloud")
    assert found.message.startswith(f"{demanding} accepts hybrid key exchange only ({HYBRID}), and {other} offers none")


def test_other_lists_without_a_common_proposal_are_named_as_before() -> None:
    other = HYBRID.replace("ecp384", "x25519")
    for ours, theirs in (((HYBRID,), (other,)), ((CLASSICAL,), (CLASSICAL.replace("ecp384", "x25519"),))):
        found = _agree(ours, theirs)
        assert isinstance(found, Disagreement)
        assert found.reason == "NoCommonProposal"


def _agreed(*ike: str, esp: tuple[str, ...] = DEFAULT.esp) -> Agreement:
    found = _agree(ike, ike)
    assert isinstance(found, Agreement)
    return replace(found, esp_proposals=esp)


def test_charon_is_given_what_it_can_do() -> None:
    both = _agreed(HYBRID, CLASSICAL)
    assert loadable(both, NEW) is both
    assert loadable(both, None) is both, "nothing is known of a charon that has never answered"
    found = loadable(both, OLD | {"mlkem1024"})
    assert isinstance(found, Agreement)
    assert found == replace(both, ike_proposals=(CLASSICAL,))


@pytest.mark.parametrize(
    ("agreed", "protocol"),
    [
        (_agreed(HYBRID), "IKE"),
        (_agreed(HYBRID, CLASSICAL, esp=("aes256gcm16-ecp384-ke1_mlkem1024",)), "ESP"),
    ],
)
def test_nothing_is_left_for_charon(agreed: Agreement, protocol: str) -> None:
    problem = loadable(agreed, OLD)
    assert isinstance(problem, Problem)
    assert problem.reason == "HybridNotSupported"
    assert f"({protocol} " in problem.message


def test_charon_is_not_given_groups_that_it_cannot_do() -> None:
    x448, brainpool = "aes256gcm16-prfsha384-x448", "aes256gcm16-prfsha512-ecp512bp"
    offered = (f"{x448}-ke1_mlkem768", x448, brainpool, HYBRID, CLASSICAL)
    agreed = _agreed(*offered, esp=("aes256gcm16-x448", *DEFAULT.esp))
    found = loadable(agreed, NEW - {"x448", "ecp512bp"})
    assert isinstance(found, Agreement)
    assert (found.ike_proposals, found.esp_proposals) == ((HYBRID, CLASSICAL), DEFAULT.esp)
    assert loadable(agreed, NEW) is agreed


def test_a_charon_that_names_no_group_is_given_all() -> None:
    agreed = _agreed(HYBRID, CLASSICAL)
    for unknown in (frozenset[str](), frozenset({"mlkem1024"})):
        found = loadable(agreed, unknown)
        assert isinstance(found, Agreement)
        assert found.ike_proposals == (CLASSICAL,)
    assert loadable(agreed, frozenset({"mlkem768"})) is agreed


@pytest.mark.parametrize("offered", ["aes256gcm16-prfsha384-x448", "aes256gcm16-prfsha384-x448-ke1_mlkem768"])
def test_groups_that_charon_lacks_are_named_if_nothing_is_left(offered: str) -> None:
    problem = loadable(_agreed(offered), NEW - {"x448"})
    assert isinstance(problem, Problem)
    assert problem.reason == "NoCommonProposal"
    assert f"(IKE {offered})" in problem.message
    assert "plugins for x448," in problem.message


# What charon says of itself.


def test_algorithms_of_charon() -> None:
    newer = {"ke": {"ECP_384": b"openssl", "ML_KEM_512": b"ml", "ML_KEM_768": b"ml", "ML_KEM_1024": b"ml"}}
    assert messages.key_exchanges(newer) == {"ecp384", *HYBRIDS}
    assert messages.key_exchanges({"dh": {"ECP_384": b"openssl", "MODP_768": b"openssl"}}) == {"ecp384"}


def _sa(**fields: bytes) -> dict[str, Any]:
    listed = {"uniqueid": b"1", "state": b"ESTABLISHED", "dh-group": b"ECP_384", "child-sas": {}}
    return {CONNECTION.name: listed | {name.replace("_", "-"): value for name, value in fields.items()}}


@pytest.mark.parametrize(
    ("sas", "key_exchange"),
    [
        ([_sa()], "ecp384"),
        ([_sa(ake1=b"ML_KEM_768")], "ecp384-ke1_mlkem768"),
        ([_sa(dh_group=b"CURVE_25519", ake1=b"ML_KEM_1024")], "x25519-ke1_mlkem1024"),
        ([_sa(dh_group=b"FUTURE_9", ake1=b"FUTURE_10")], "future_9-ke1_future_10"),
        ([_sa(state=b"CONNECTING")], ""),
        ([_sa(ake1=b"ML_KEM_768"), _sa(state=b"CONNECTING")], "ecp384-ke1_mlkem768"),
        ([_sa(ake1=b"ML_KEM_768"), _sa()], "ecp384"),
        ([_sa(), _sa(ake1=b"ML_KEM_768")], "ecp384"),
    ],
)
def test_key_exchange_of_the_ike_sa(sas: list[dict[str, Any]], key_exchange: str) -> None:
    view = messages.parse_view("1", {"version": b"6.1.0"}, [], sas)
    assert view.states[CONNECTION.name].key_exchange == key_exchange


def test_every_group_of_a_proposal_has_its_name_in_charon() -> None:
    assert {*messages._KEY_EXCHANGES.values()} == {*proposals.GROUPS, *HYBRIDS, "mlkem512"}


# An agent.


def _publish(harness: AgentHarness, *ike: str) -> None:
    """What the controllers write when both policies offer this."""
    document = peerlink().to_wire()
    for spec in (document["spec"], document["status"]["peer"]["spec"]):
        spec["ipsec"]["ikeProposals"] = list(ike)
    changed = PeerLink.from_wire(document)
    controller = FakeCluster(harness.store)
    controller.apply(changed)
    controller.apply_status(changed)
    harness.intents.refresh()


def _node(harness: AgentHarness) -> GatewayNode:
    found = harness.get(GatewayNode, NODE)
    assert isinstance(found, GatewayNode)
    return found


def _connection(harness: AgentHarness) -> GatewayConnection:
    (connection,) = _node(harness).status.connections
    return connection


@pytest.mark.parametrize(
    ("charon", "peers", "loaded", "key_exchange"),
    [
        (NEW, NEW, (HYBRID, CLASSICAL), "ecp384-ke1_mlkem768"),
        (NEW, OLD, (HYBRID, CLASSICAL), "ecp384"),
        (OLD, NEW, (CLASSICAL,), "ecp384"),
    ],
)
def test_agent_loads_what_its_charon_can_do(
    charon: frozenset[str], peers: frozenset[str], loaded: tuple[str, ...], key_exchange: str
) -> None:
    harness = AgentHarness()
    harness.node.key_exchanges, harness.node.peer_key_exchanges = charon, peers
    _publish(harness, HYBRID, CLASSICAL)
    harness.settle()
    (connection,) = harness.node.loaded.values()
    assert connection.ike_proposals == loaded
    reported = _connection(harness)
    assert (reported.up, reported.key_exchange) == (True, key_exchange)
    assert _node(harness).status.key_exchanges == tuple(word for word in KEY_EXCHANGES if word in charon)


def test_required_and_impossible_loads_nothing_and_says_why() -> None:
    harness = AgentHarness()
    harness.settle()
    assert _connection(harness).up
    _publish(harness, HYBRID)
    harness.settle()
    assert harness.node.loaded == {}
    assert harness.node.negotiated == {}, "a fallback does not stay"
    reported = _connection(harness)
    assert (reported.up, reported.reason, reported.key_exchange) == (False, "HybridNotSupported", None)
    assert "install strongSwan" in reported.message
    configured = condition_of(_node(harness).status.conditions, "PeersConfigured")
    assert configured is not None
    assert (configured.status, configured.reason) == ("False", "HybridNotSupported")


def _pass(harness: AgentHarness, seconds: int) -> None:
    """Iterations as often as while something is coming up."""
    for _ in range(seconds):
        harness.clock.seconds += 1
        harness.iterate()


def test_a_peer_that_keeps_to_the_fallback_is_cut_when_hybrid_is_required() -> None:
    harness = AgentHarness()
    node = harness.node
    node.key_exchanges = NEW
    _publish(harness, HYBRID, CLASSICAL)
    harness.settle()
    _publish(harness, HYBRID)
    _pass(harness, 50)
    assert _connection(harness).key_exchange == "ecp384", "it may be replaced at any moment"
    _pass(harness, 20)
    assert node.negotiated == {}
    assert (_connection(harness).up, _connection(harness).key_exchange) == (False, None)
    node.peer_key_exchanges = NEW
    harness.settle()
    assert (_connection(harness).up, _connection(harness).key_exchange) == (True, "ecp384-ke1_mlkem768")


def test_one_that_is_replaced_in_time_is_not_cut() -> None:
    harness = AgentHarness()
    harness.node.key_exchanges = harness.node.peer_key_exchanges = NEW
    _publish(harness, CLASSICAL)
    harness.settle()
    harness.node.effects.clear()
    _publish(harness, HYBRID)
    _pass(harness, 60)
    assert _connection(harness).key_exchange == "ecp384-ke1_mlkem768"
    assert not any("terminate" in effect for effect in harness.node.effects)


@pytest.mark.parametrize("newer", [True, False])
def test_another_charon_is_noticed_by_what_it_can_do(newer: bool) -> None:
    harness = AgentHarness()
    node = harness.node
    node.key_exchanges, node.peer_key_exchanges = OLD if newer else NEW, NEW
    _publish(harness, HYBRID, CLASSICAL)
    harness.settle()
    node.loaded, node.negotiated, node.charon_instance = {}, {}, 2
    node.key_exchanges = NEW if newer else OLD
    harness.settle()
    (connection,) = node.loaded.values()
    assert connection.ike_proposals == ((HYBRID, CLASSICAL) if newer else (CLASSICAL,))
    assert _connection(harness).key_exchange == ("ecp384-ke1_mlkem768" if newer else "ecp384")


def test_a_charon_that_does_not_answer_takes_nothing_back() -> None:
    """A new agent knows nothing of it: neither the tunnel goes nor what was reported."""
    harness = AgentHarness()
    harness.node.key_exchanges = harness.node.peer_key_exchanges = NEW
    _publish(harness, HYBRID)
    harness.settle()
    tunnels = harness.node.ports.tunnels
    harness.node.charon_answers = False
    harness.agent = harness.new_agent()
    harness.settle()
    assert harness.node.ports.tunnels == tunnels
    assert _connection(harness).reason == "CharonUnavailable"
    assert _node(harness).status.key_exchanges == KEY_EXCHANGES


# Two controllers.

CAN: tuple[str, ...] = KEY_EXCHANGES
CANNOT: tuple[str, ...] = GROUPS
OLD_AGENT: tuple[str, ...] = ()


def _report(cloud: FakeCloud, can: tuple[str, ...], key_exchange: str | None) -> None:
    """What the agent of the only gateway node reports."""
    node = cloud.kubectl.get(GatewayNode, f"gw-{cloud.cloud_id}")
    assert node is not None
    status = node.status
    connections = [c.model_copy(update={"key_exchange": key_exchange}) for c in status.connections]
    update = {"key_exchanges": can, "connections": tuple(connections)}
    cloud.agent.apply_status(node.model_copy(update={"status": status.model_copy(update=update)}))


def _settled(
    can: tuple[tuple[str, ...], tuple[str, ...]], key_exchange: str | None, **policy: Any
) -> tuple[FakeCloud, FakeCloud]:
    """Two clouds whose gateways can do this; the first one has this policy."""
    federation = FakeFederation()
    a, b = federation.clouds
    federation.agree()
    a.kubectl.apply(_policy(**policy))
    federation.settle()
    for _ in range(4):
        for cloud, words in zip((a, b), can, strict=True):
            _report(cloud, words, key_exchange)
            cloud.cycle()
    return a, b


def _condition(cloud: FakeCloud, peer: FakeCloud, type_: str = "HybridKeyExchange") -> Condition:
    found = condition_of(cloud.peer(peer.cloud_id).status.conditions, type_)
    assert found is not None
    return found


def _offered(cloud: FakeCloud) -> tuple[str, ...]:
    (link,) = cloud.kubectl.list_objects(PeerLink)
    return link.spec.ipsec.all_ike_proposals


def test_hybrid_is_offered_where_a_gateway_can_do_it() -> None:
    a, b = _settled((CAN, CANNOT), "ecp384")
    assert (_offered(a), _offered(b)) == ((HYBRID, CLASSICAL), (CLASSICAL,))
    a, b = _settled((CAN, CANNOT), "ecp384", requireHybrid=True)
    assert (_offered(a), _offered(b)) == ((HYBRID,), (CLASSICAL,))
    a, b = _settled((CANNOT, CANNOT), "ecp384", requireHybrid=True)
    assert _offered(a) == (HYBRID,), "what is demanded is demanded"
    assert _condition(a, b, "Agreed").reason == _condition(b, a, "Agreed").reason == "HybridRequired"


@pytest.mark.parametrize(
    ("can", "key_exchange", "policy", "ours", "theirs"),
    [
        ((CAN, CAN), "ecp384-ke1_mlkem768", {}, "HybridInForce", "HybridInForce"),
        ((CAN, CAN), "ecp384-ke1_mlkem768", {"requireHybrid": True}, "HybridInForce", "HybridInForce"),
        ((CAN, CAN), "ecp384", {}, "HybridNotTaken", "HybridNotTaken"),
        ((CAN, CANNOT), "ecp384", {}, "HybridNotOfferedByPeer", "HybridNotSupported"),
        ((CANNOT, CANNOT), "ecp384", {}, "HybridNotSupported", "HybridNotSupported"),
        ((CAN, OLD_AGENT), "ecp384", {}, "HybridNotOfferedByPeer", "HybridNotSupported"),
        (
            (CAN, CAN), "ecp384", {"ike": {"proposals": [CLASSICAL]}},
            "HybridNotOffered", "HybridNotOfferedByPeer",
        ),
        (
            (CANNOT, CAN), "ecp384", {"ike": {"proposals": [HYBRID, CLASSICAL]}},
            "HybridNotSupported", "HybridNotTaken",
        ),
        (
            (CAN, CAN), "ecp384", {"ike": {"proposals": [CLASSICAL, HYBRID]}},
            "HybridNotTaken", "HybridNotTaken",
        ),
        (
            (CANNOT, CAN), None, {"requireHybrid": True},
            "HybridNotSupported", "NoTunnel",
        ),
        ((CAN, CAN), None, {}, "NoTunnel", "NoTunnel"),
    ],
)  # fmt: skip
def test_condition_says_what_is_in_force_or_why_not(
    can: tuple[tuple[str, ...], tuple[str, ...]],
    key_exchange: str | None,
    policy: dict[str, Any],
    ours: str,
    theirs: str,
) -> None:
    a, b = _settled(can, key_exchange, **policy)
    found = _condition(a, b), _condition(b, a)
    assert tuple(condition.reason for condition in found) == (ours, theirs), [c.message for c in found]
    for condition in found:
        expected = {"HybridInForce": "True", "NoTunnel": "Unknown"}.get(condition.reason, "False")
        assert condition.status == expected
        assert condition.message
        if key_exchange == "ecp384":
            assert "use ecp384 alone" in condition.message


def test_hybrid_is_preferred_wherever_a_list_has_it() -> None:
    a, _ = _settled((CAN, CAN), "ecp384", ike={"proposals": [CLASSICAL, HYBRID]})
    assert _offered(a) == (HYBRID, CLASSICAL)


def test_earlier_releases_find_what_they_know_where_they_look_for_it() -> None:
    """Of the whole object: a controller that was rolled back must understand its own, too."""
    a, b = _settled((CAN, CAN), "ecp384-ke1_mlkem768")
    for cloud in (a, b):
        (link,) = cloud.kubectl.list_objects(PeerLink)
        for spec in (link.to_wire()["spec"], link.to_wire()["status"]["peer"]["spec"]):
            assert spec["ipsec"].pop("hybridProposals") == [HYBRID]
            assert spec["ipsec"]["ikeProposals"] == [CLASSICAL]
            assert "ke1_" not in str(spec)


def test_it_makes_no_peer_unready() -> None:
    a, b = _settled((CAN, CANNOT), "ecp384")
    assert _condition(a, b).status == "False"
    assert _condition(a, b, "Ready").status == "True"


def test_a_charon_that_can_do_more_concerns_all_peers() -> None:
    a, _ = _settled((CANNOT, CANNOT), "ecp384")
    node = a.kubectl.get(GatewayNode, "gw-cloud-a")
    assert node is not None
    other = node.model_copy(update={"status": node.status.model_copy(update={"key_exchanges": CAN})})
    snapshot = a.controller.engine.state.snapshot()
    assert keys_of_object(snapshot, Change(node, node)) == set()
    assert keys_of_object(snapshot, Change(node, other)) == {peer_key("cloud-b")}
