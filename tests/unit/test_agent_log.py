"""The agent's log at INFO: one line for each thing that changes state, and none while nothing does."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest

from isthmus.model import names
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.nodeobjects import ADDRESS, NODE, OWN, PEER, PSK, RED, attachment, peer

TUNNEL = names.tunnel_port(PEER, "gw-b1")
CONNECTION = f"connection to gw-b1 of {PEER}"
NETWORK, LINK = f"network {OWN}.{RED}", f"link of network {OWN}.{RED} to {PEER}"
UP = "IKE Established, ESP Installed, BFD Up"


@pytest.fixture
def harness(caplog: pytest.LogCaptureFixture) -> AgentHarness:
    caplog.set_level(logging.INFO, "isthmus")
    return AgentHarness()


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Lines since the last call, without the explanations of the new states."""
    lines = [record.getMessage() for record in caplog.records]
    caplog.clear()
    return lines


def states(lines: list[str], subject: str) -> list[str]:
    """The states that a thing went through, the one before the first line included."""
    changes = [line.removeprefix(f"{subject}: ").split(": ")[0] for line in lines if line.startswith(f"{subject}: ")]
    steps = [change.split(" -> ") for change in changes]
    assert all(step[1] == following[0] for step, following in pairwise(steps))
    return [steps[0][0], *(step[1] for step in steps)] if steps else []


def test_life_of_a_tunnel_and_a_network(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.settle()
    lines = logged(caplog)
    assert states(lines, CONNECTION)[0] == "absent"
    assert states(lines, CONNECTION)[-1] == UP
    assert states(lines, f"tunnel port {TUNNEL}") == ["absent", f"{ADDRESS} to 198.51.100.11, VXLAN on UDP port 14789"]
    assert states(lines, f"node {NODE}") == ["absent", "Ready"]
    assert states(lines, "block policies") == ["absent", "7 installed"]
    assert states(lines, "nftables table") == ["absent", "in force"]
    harness.kubectl.apply(attachment())
    harness.settle()
    lines = logged(caplog)
    assert states(lines, NETWORK)[-1] == "plugged"
    assert states(lines, LINK)[-1] == "up"
    assert states(lines, "flows of br-cloud")[-1] == "installed for 1 networks"
    harness.settle()
    assert logged(caplog) == []
    harness.delete(attachment())
    harness.delete(peer())
    harness.settle()
    lines = logged(caplog)
    for subject in (CONNECTION, f"tunnel port {TUNNEL}", NETWORK, LINK):
        assert states(lines, subject)[-1] == "absent"
    assert states(lines, "block policies")[-1] == "0 installed"
    assert states(lines, "nftables table")[-1] == "absent"


def test_missing_nftables_is_one_line(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.node.has_nftables = False
    harness.settle(20)
    lines = [line for line in logged(caplog) if "nftables" in line]
    assert states(lines, "nftables table") == ["absent", "NftablesUnsupported"]
    assert len(lines) == 1


def test_what_is_in_place_at_the_start_of_an_agent(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    logged(caplog)
    harness.new_agent()
    harness.settle()
    lines = logged(caplog)
    assert states(lines, CONNECTION) == ["absent", UP]
    assert states(lines, NETWORK) == ["absent", "plugged"]


def test_charon_that_is_away_is_two_lines(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    logged(caplog)
    harness.node.charon_answers = False
    harness.settle(20)
    lines = logged(caplog)
    assert states(lines, f"node {NODE}") == ["Ready", "CharonUnavailable"]
    assert len([line for line in lines if "charon" in line.lower()]) == 1
    harness.node.charon_answers = True
    harness.settle(20)
    assert states(logged(caplog), f"node {NODE}") == ["CharonUnavailable", "Ready"]


def test_peer_that_falls_silent(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    logged(caplog)
    harness.node.peer_answers = False
    harness.node.negotiated.clear()
    harness.settle()
    lines = logged(caplog)
    assert states(lines, CONNECTION)[-1] == "IKE Connecting, ESP Missing, BFD Down (IKENotEstablished)"
    assert states(lines, LINK) == ["up", "ProbeUnanswered"]
    assert lines[-1].count(": ") >= 2, "the new state is explained"


def test_missing_key_is_named_without_any_key(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.settle()
    logged(caplog)
    harness.kubectl.delete_manifest("v1", "Secret", "psk-b", names.IPSEC_NAMESPACE)
    harness.settle()
    lines = logged(caplog)
    assert states(lines, f"peer {PEER}") == ["Configured", "KeyNotFound"]
    assert not any(PSK.decode() in line for line in lines)


def test_outage_of_the_api_is_two_lines(harness: AgentHarness, caplog: pytest.LogCaptureFixture) -> None:
    harness.kubectl.apply(attachment())
    harness.settle()
    logged(caplog)
    harness.store.down = True
    harness.settle(30)
    (begin,) = logged(caplog)
    assert begin.startswith("Kubernetes API unavailable: ")
    harness.store.down = False
    harness.settle(30)
    (end,) = logged(caplog)
    assert end.startswith("Kubernetes API available again after ")
