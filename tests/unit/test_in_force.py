"""What is in force with a gateway: what charon says of its SAs, and what an agent reports of that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from isthmus.adapters.strongswan import messages
from isthmus.adapters.strongswan.inforce import in_force, with_what_is_in_force
from isthmus.model import proposals
from isthmus.model.api.v1alpha1.gatewaynode import GatewayConnection, GatewayNode, InForceStatus
from isthmus.model.node.inforce import InForce, Nat
from tests.fakes.agent_harness import AgentHarness
from tests.fakes.charon import FakeIke
from tests.fakes.nodeobjects import NODE, PEER
from tests.unit.test_ike_messages import CONNECTION

NOW = datetime(2026, 1, 1, 12, 0, 0, 900_000, tzinfo=UTC)

# What strongSwan 5.9.8 answers to `list-sas`, as far as it is read here; 6.1 adds `ake1`, and leaves out nothing.
CHILD = {
    "name": b"out-0123456789ab", "uniqueid": b"3", "reqid": b"1", "state": b"INSTALLED", "mode": b"TRANSPORT",
    "protocol": b"ESP", "spi-in": b"c0000001", "spi-out": b"d0000001",
    "encr-alg": b"AES_GCM_16", "encr-keysize": b"256", "install-time": b"61", "rekey-time": b"3100",
}  # fmt: skip
SA = {
    "uniqueid": b"7", "version": b"2", "state": b"ESTABLISHED", "local-port": b"500", "remote-port": b"500",
    "initiator": b"yes", "encr-alg": b"AES_GCM_16", "encr-keysize": b"256", "prf-alg": b"PRF_HMAC_SHA2_384",
    "dh-group": b"ECP_384", "established": b"4000", "rekey-time": b"24000",
}  # fmt: skip


def _sa(*children: dict[str, bytes], **changes: bytes) -> dict[str, Any]:
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return SA | {"child-sas": {f"{c['name'].decode()}-{n}": c for n, c in enumerate(children)}} | changed


def _child(**changes: bytes) -> dict[str, bytes]:
    return CHILD | {name.replace("_", "-"): value for name, value in changes.items()}


def test_established_sas() -> None:
    found = in_force([_sa(_child(), _child(name=b"in-0123456789ab", install_time=b"60"))], NOW)
    assert found == InForce(7, "aes256gcm16-prfsha384", "aes256gcm16", "Transport", "None")
    assert found.ike_since == datetime(2026, 1, 1, 10, 53, 20, tzinfo=UTC)
    assert found.esp_since == datetime(2026, 1, 1, 11, 58, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "nat"),
    [
        ({}, "None"),
        ({"nat_local": b"yes"}, "Local"),
        ({"nat_remote": b"yes"}, "Remote"),
        ({"nat_local": b"yes", "nat_remote": b"yes"}, "Both"),
        ({"nat_fake": b"yes", "nat_any": b"yes"}, "None"),
    ],
)
def test_who_is_behind_nat(said: dict[str, bytes], nat: Nat) -> None:
    assert in_force([_sa(**said)], NOW).nat == nat


@pytest.mark.parametrize(("mode", "found"), [(b"TRANSPORT", "Transport"), (b"TUNNEL", "Tunnel"), (b"IPTFS", None)])
def test_mode_that_was_negotiated(mode: bytes, found: str | None) -> None:
    """A peer may have refused transport mode (RFC 7296, 1.3.1)."""
    assert in_force([_sa(_child(mode=mode))], NOW).esp_mode == found


def _without_size(algorithm: bytes, **more: bytes) -> dict[str, Any]:
    sa = _sa(_child(encr_alg=algorithm), encr_alg=algorithm, **more)
    (child,) = sa["child-sas"].values()
    del sa["encr-keysize"], child["encr-keysize"]
    return sa


def test_ciphers_have_the_words_of_proposals() -> None:
    found = in_force([_without_size(b"CHACHA20_POLY1305", prf_alg=b"PRF_HMAC_SHA2_256")], NOW)
    assert (found.ike_cipher, found.esp_cipher) == ("chacha20poly1305-prfsha256", "chacha20poly1305")
    for cipher in proposals.ENCRYPTION:
        for function in proposals.PSEUDO_RANDOM_FUNCTIONS:
            assert proposals.proposal_problem("IKE", f"{cipher}-{function}-ecp384") is None


def test_ciphers_that_are_none_of_ours_are_as_charon_names_them() -> None:
    other = {"encr_alg": b"AES_CBC", "encr_keysize": b"128", "integ_alg": b"HMAC_SHA2_256_128"}
    found = in_force([_sa(_child(**other), **other, prf_alg=b"PRF_FUTURE")], NOW)
    assert found.ike_cipher == "aes_cbc-128-hmac_sha2_256_128-prf_future"
    assert found.esp_cipher == "aes_cbc-128-hmac_sha2_256_128"


def test_nothing_is_in_force_before_keys_are_agreed_on() -> None:
    assert in_force([], NOW) == in_force([_sa(state=b"CONNECTING")], NOW) == InForce()
    only_ike = in_force([_sa(_child(state=b"INSTALLING"))], NOW)
    assert (only_ike.ike_cipher, only_ike.esp_cipher, only_ike.esp_mode) == ("aes256gcm16-prfsha384", "", None)
    assert only_ike.esp_since is None


def test_what_is_being_replaced_is_in_force_until_it_goes() -> None:
    older = _sa(_child(), uniqueid=b"9", nat_local=b"yes")
    newer = _sa(_child(mode=b"TUNNEL", install_time=b"1"), uniqueid=b"10", encr_alg=b"CHACHA20_POLY1305")
    for sas in ([older, newer], [newer, older]):
        found = in_force(sas, NOW)
        assert (found.ike_sa, found.nat, found.esp_mode) == (9, "Local", "Transport")
    gone = _sa(_child(state=b"REKEYED"), _child(install_time=b"2"), uniqueid=b"9")
    assert in_force([gone], NOW).esp_since == datetime(2026, 1, 1, 11, 59, 58, tzinfo=UTC)


def test_rekeyed_ike_sa_is_another_one() -> None:
    assert in_force([_sa()], NOW) == in_force([_sa()], NOW + timedelta(seconds=3))
    assert in_force([_sa()], NOW) != in_force([_sa(uniqueid=b"8")], NOW)


def test_view_has_it_of_each_connection() -> None:
    sas = [{CONNECTION.name: _sa(_child())}, {"other": _sa(state=b"CONNECTING")}]
    view = with_what_is_in_force(messages.parse_view("1", {"version": b"6.1.0"}, [], sas), sas, NOW)
    assert view.states[CONNECTION.name].in_force.esp_cipher == "aes256gcm16"
    assert view.states["other"].in_force == InForce()


# What an agent reports.


def _reported(harness: AgentHarness) -> GatewayConnection:
    node = harness.get(GatewayNode, NODE)
    assert isinstance(node, GatewayNode)
    (connection,) = node.status.connections
    return connection


def _in_force(harness: AgentHarness) -> InForceStatus:
    found = _reported(harness).in_force
    assert found is not None
    return found


def _version(harness: AgentHarness) -> str | None:
    node = harness.get(GatewayNode, NODE)
    assert isinstance(node, GatewayNode)
    return node.metadata.resource_version


def _shift(harness: AgentHarness, seconds: float) -> None:
    """Have charon say other times of the same SAs."""
    by = timedelta(seconds=seconds)
    for digest, found in harness.node.in_force.items():
        assert found.ike_since is not None
        assert found.esp_since is not None
        harness.node.in_force[digest] = InForce(
            found.ike_sa, found.ike_cipher, found.esp_cipher, found.esp_mode, found.nat,
            found.ike_since + by, found.esp_since + by,
        )  # fmt: skip


def test_status_says_what_protects_the_traffic() -> None:
    harness = AgentHarness()
    harness.node.nat = "Remote"
    harness.settle()
    reported, found = _reported(harness), _in_force(harness)
    assert (reported.encapsulation, reported.key_exchange) == ("VXLAN", "ecp384")
    assert (found.esp_mode, found.nat) == ("Transport", "Remote")
    assert (found.ike_cipher, found.esp_cipher) == ("aes256gcm16-prfsha384", "aes256gcm16")
    assert found.ike_since == found.esp_since
    assert found.ike_since is not None


def test_without_an_sa_there_is_nothing_to_say() -> None:
    harness = AgentHarness()
    harness.node.peer_answers = False
    harness.settle()
    assert (_reported(harness).encapsulation, _reported(harness).in_force) == ("VXLAN", None)


@pytest.mark.parametrize("seconds", [-1, 1])
def test_rounding_is_not_written_by_another_agent_either(seconds: int) -> None:
    harness = AgentHarness()
    harness.settle()
    before, version = _in_force(harness), _version(harness)
    _shift(harness, seconds)
    harness.agent = harness.new_agent()
    harness.settle()
    assert _in_force(harness) == before
    assert _version(harness) == version


def test_time_of_other_sas_is_written() -> None:
    harness = AgentHarness()
    harness.settle()
    before = _in_force(harness)
    (name,) = harness.node.loaded
    _shift(harness, -3600)
    harness.agent = harness.new_agent()
    harness.settle()
    old = _in_force(harness)
    assert before.esp_since is not None
    assert old.esp_since is not None
    assert old.esp_since < before.esp_since
    charon = FakeIke(harness.node)
    charon.rekey(name, charon.view().states[name].spis)
    harness.settle()
    after = _in_force(harness)
    assert after.esp_since is not None
    assert after.esp_since >= before.esp_since
    assert after.ike_since == old.ike_since


def test_an_ike_sa_that_was_rekeyed_is_noticed_although_all_else_is_the_same() -> None:
    harness = AgentHarness()
    harness.settle()
    _shift(harness, -3600)
    version = _version(harness)
    harness.iterate()
    assert _version(harness) == version, "times alone are no change"
    ((digest, found),) = harness.node.in_force.items()
    harness.node.in_force[digest] = InForce(
        found.ike_sa + 1, found.ike_cipher, found.esp_cipher, found.esp_mode, found.nat, NOW, found.esp_since
    )
    harness.settle()
    assert _in_force(harness).ike_since == "2026-01-01T12:00:00Z"


def test_metric_has_one_series_for_each_gateway() -> None:
    harness = AgentHarness()
    backends = harness.backends()
    harness.node.peer_answers = False
    harness.new_agent(backends)

    def series() -> list[dict[str, str]]:
        families = {family.name: family for family in backends.metrics.registry.collect()}
        return [sample.labels for sample in families["isthmus_tunnel_info"].samples]

    harness.settle()
    known = {"peer": PEER, "gateway": "gw-b1", "encapsulation": "VXLAN"}
    unknown = dict.fromkeys(("esp_mode", "nat", "ike_cipher", "esp_cipher", "key_exchange"), "")
    assert series() == [known | unknown]
    harness.node.peer_answers, harness.node.nat = True, "Local"
    harness.clock.seconds += 10
    harness.settle()
    assert series() == [
        known
        | {
            "esp_mode": "Transport",
            "nat": "Local",
            "ike_cipher": "aes256gcm16-prfsha384",
            "esp_cipher": "aes256gcm16",
            "key_exchange": "ecp384",
        }
    ]
