"""IPsecPolicies: which proposals and lifetimes they may have, and what becomes of them in charon's messages."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.adapters.strongswan import messages
from isthmus.core.federation.policy import policy_problem
from isthmus.model import proposals
from isthmus.model.api.schema import crd_of
from isthmus.model.api.v1alpha1.ipsecpolicy import IPsecPolicy
from isthmus.model.proposals import BASELINES, ENCRYPTION, GROUPS, HYBRIDS, PSEUDO_RANDOM_FUNCTIONS, proposal_problem
from tests.unit.test_ike_messages import CONNECTION


def _policy(**spec: Any) -> IPsecPolicy:
    return IPsecPolicy.from_wire({"metadata": {"name": "strong"}, "spec": spec})


IKE_PROPOSALS = st.builds(
    lambda cipher, prf, group, hybrid: "-".join([cipher, prf, group, *hybrid]),
    st.sampled_from(ENCRYPTION),
    st.sampled_from(PSEUDO_RANDOM_FUNCTIONS),
    st.sampled_from(GROUPS),
    st.lists(st.sampled_from([f"ke1_{name}" for name in HYBRIDS]), max_size=1),
)


@given(IKE_PROPOSALS)
def test_every_combination_of_allowed_algorithms_is_allowed(proposal: str) -> None:
    assert proposal_problem("IKE", proposal) is None
    cipher, _, *rest = proposal.split("-")
    assert proposal_problem("ESP", "-".join([cipher, *rest])) is None
    assert proposal_problem("ESP", proposal) is not None
    assert not any(re.search(pattern, proposal) for pattern, _ in proposals.WEAK)


@given(
    st.lists(st.sampled_from([*ENCRYPTION, *PSEUDO_RANDOM_FUNCTIONS, *GROUPS, "aes256", "sha256", "modp2048"])).map(
        "-".join
    )
)
def test_whatever_is_not_of_the_form_is_refused_with_a_reason(proposal: str) -> None:
    for protocol in ("IKE", "ESP"):
        is_allowed = re.search(proposals.PATTERNS[protocol], proposal) is not None
        assert (proposal_problem(protocol, proposal) is None) == is_allowed


@pytest.mark.parametrize(
    ("proposal", "reason"),
    [
        ("3des-sha1-modp1024", "blocks of 64 bits"),
        ("null-sha256-ecp384", "does not encrypt"),
        ("aes256gmac-prfsha384-ecp384", "does not encrypt"),
        ("aes256-sha384-ecp384", "does not authenticate"),
        ("aes256ctr-sha384-ecp384", "does not authenticate"),
        ("aes256gcm8-prfsha384-ecp384", "shorter than 16 bytes"),
        ("aes128gcm16-prfsha384-ecp384", "shorter than 256 bits"),
        ("aes256gcm16-prfmd5-ecp384", "MD5 and SHA-1"),
        ("aes256gcm16-prfsha384-modp2048", "less than 128 bits"),
        ("aes256gcm16-prfsha384-modp2048s256", "unknown origin"),
        ("aes256gcm16-prfsha384", "no forward secrecy"),
        ("aes256gcm16-prfsha384-ecp384-ke1_mlkem512", "ML-KEM-512"),
        ("rot13-prfsha384-ecp384", "not of the form <cipher>-<PRF>-<group>"),
    ],
)
def test_a_weak_proposal_that_is_stored_is_named_with_its_reason(proposal: str, reason: str) -> None:
    problem = policy_problem(_policy(ike={"proposals": ["aes256gcm16-prfsha384-ecp384", proposal]}))
    assert problem is not None
    assert problem.reason == "WeakProposal"
    assert proposal in problem.message
    assert reason in problem.message


@pytest.mark.parametrize("part", ["ike", "esp"])
def test_the_api_server_gives_the_same_reasons(part: str) -> None:
    spec = crd_of(IPsecPolicy)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    items = spec["properties"][part]["properties"]["proposals"]["items"]
    rules = {rule["message"]: rule["rule"] for rule in items["x-kubernetes-validations"]}
    assert rules.keys() == {reason for _, reason in proposals.WEAK} | {proposals.NO_GROUP}
    assert all(f"'{pattern}'" in rules[reason] for pattern, reason in proposals.WEAK)


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_is_allowed_and_stands_for_its_proposals(name: str) -> None:
    policy = _policy(baseline=name)
    assert policy_problem(policy) is None
    offered = policy.spec.offered
    assert (proposals.without_hybrids(offered.ike), offered.esp) == (BASELINES[name].ike, BASELINES[name].esp)


def test_a_baseline_beside_lists_is_refused() -> None:
    problem = policy_problem(_policy(baseline="CNSA-2.0", esp={"proposals": ["aes256gcm16-ecp384"]}))
    assert problem is not None
    assert "not both" in problem.message


@pytest.mark.parametrize(
    "spec",
    [
        {"ike": {"rekeyTimeSeconds": 600}},
        {"ike": {"marginSeconds": 20_000}},
        {"esp": {"marginSeconds": 2_000}},
        {"ike": {"rekeyTimeSeconds": 3_600, "marginSeconds": 10}, "esp": {"rekeyTimeSeconds": 3_600}},
    ],
)
def test_lifetimes_that_cross_are_refused(spec: dict[str, Any]) -> None:
    problem = policy_problem(_policy(**spec))
    assert problem is not None
    assert problem.reason == "LifetimesCross"


def test_lifetimes_with_margins_and_replay_window_reach_charon() -> None:
    (settings,) = messages.connection(CONNECTION).values()
    assert not {"over_time", "rand_time"} & settings.keys()
    assert {(c["replay_window"], "life_time" in c) for c in settings["children"].values()} == {("1024", False)}

    changed = replace(CONNECTION, ike_margin_seconds=600, esp_margin_seconds=300, replay_window_packets=4096)
    (settings,) = messages.connection(changed).values()
    assert (settings["rekey_time"], settings["rand_time"], settings["over_time"]) == ("28800s", "600s", "600s")
    children = {(c["rekey_time"], c["rand_time"], c["life_time"]) for c in settings["children"].values()}
    assert children == {("3600s", "300s", "3900s")}
    assert {c["replay_window"] for c in settings["children"].values()} == {"4096"}
    assert changed.digest != CONNECTION.digest
