"""What two clouds cannot agree on, or a node cannot do, with whole agents: it is named, and nothing is made in part.

Both clouds have a network stretched to each other all the time, whose machines send. tests/cluster has what the API
server refuses before, tests/unit/test_node_plan.py more that one node cannot do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

import pytest

from isthmus.core.node.inner import inner_ends
from isthmus.model.api.v1alpha1.cloudpeer import CloudPeer
from tests.authority import Authority, secret_data
from tests.kernel.agreements import Changes, connection_of, publish, reason_of
from tests.kernel.openvswitch import sh
from tests.kernel.side import PSK, Side, pair_of
from tests.testbed.host.process import wait_until

CA = Authority("one")
HYBRID = {"ipsec.hybridProposals": ["aes256gcm16-prfsha384-ecp384-ke1_mlkem768"], "ipsec.ikeProposals": []}
GRE = {"tunnel.encapsulation": "GRE", "tunnel.port": None}
BY_CERTIFICATE = {"ipsec.authentication": "Certificate"}
Sides = tuple[Side, Side]


@dataclass(frozen=True)
class Case:
    """What both publish beyond the usual, what else is wrong meanwhile, and who names it."""

    a: Changes = field(default_factory=dict)
    b: Changes = field(default_factory=dict)
    at: str = "ab"
    secret: Mapping[str, str] = field(default_factory=dict)


def _address(name: str, **more: str) -> dict[str, object]:
    return {"gateways": [{"name": f"gw-{name}", **more}]}


_GOOD, _OTHER = CA.issue("gw-a.cloud-a"), CA.issue("gw-a.cloud-a")
_BETWEEN = Authority("between", issuer=CA)
CASES = {
    "EncapsulationsDiffer": Case(b={"tunnel.encapsulation": "Geneve"}),
    "TunnelPortsDiffer": Case(b={"tunnel.port": 14790}),
    "NoCommonProposal": Case(b={"ipsec.espProposals": ["aes256gcm16-x25519"]}),
    "HybridNotSupported": Case(HYBRID, HYBRID),
    "TransportThroughNAT": Case(GRE | _address("a", address="192.0.2.1", nat="Behind"), GRE),
    "AddressFamiliesDiffer": Case(b=_address("b", address="2001:db8::2"), at="a"),
    "InnerEndsCollide": Case({"tunnel.mode": "Tunnel"}, {"tunnel.mode": "Tunnel"}, at="a"),
    "CertificateKeyDiffers": Case(
        BY_CERTIFICATE,
        at="a",
        secret=secret_data(_GOOD, psk=PSK) | secret_data(tls_key=_OTHER.private_key),
    ),
    "CertificateChainTooLong": Case(
        BY_CERTIFICATE,
        at="a",
        secret=secret_data(_BETWEEN.issue("gw-a.cloud-a"), psk=PSK)
        | secret_data(tls_crt=_BETWEEN.issue("gw-a.cloud-a").certificate + _BETWEEN.certificate),
    ),
}


@pytest.fixture(scope="module")
def introduced(sides: Sides) -> Sides:
    """With a network that each of them would stretch to the other one, if it could; they agree on nothing yet.

    `Side.introduce` publishes what agrees, so they may have begun to negotiate. Whatever came of it has to be gone
    before a case looks at the wire.
    """
    a, b = sides
    for side, other in ((a, b), (b, a)):
        side.introduce(other)
        side.attach(other)
        _accept_ipv6(side)
    publish(sides, {"b": CASES["TunnelPortsDiffer"].b})
    for side in sides:
        wait_until(lambda side=side: reason_of(side) == "TunnelPortsDiffer", 30, f"no agreement at {side.name}")  # type: ignore[misc]
        wait_until(lambda side=side: not made(side), 30, f"nothing at {side.name}")  # type: ignore[misc]
    return sides


def _accept_ipv6(side: Side) -> None:
    """Else a gateway with IPv6 alone is outside of what is agreed on, and none at all."""
    peer = side.kubectl.get(CloudPeer, f"cloud-{side.peer}")
    assert peer is not None
    cidrs = (*peer.spec.gateway_cidrs, "2001:db8::/64")
    side.kubectl.apply(peer.model_copy(update={"spec": peer.spec.model_copy(update={"gateway_cidrs": cidrs})}))


@contextmanager
def _taken(sides: Sides) -> Iterator[None]:
    """The node has the peer's inner end as an address of its own. Before it goes, nothing is agreed on any more."""
    ends = inner_ends("gw-a.cloud-a", "gw-b.cloud-b")
    sh(f"ip addr add {ends.remote}/32 dev lo", "a")
    try:
        yield
    finally:
        publish(sides, {"b": CASES["TunnelPortsDiffer"].b})
        wait_until(lambda: reason_of(sides[0]) == "TunnelPortsDiffer", 30, "the next reason")
        sh(f"ip addr del {ends.remote}/32 dev lo", "a")


@pytest.mark.parametrize("reason", CASES)
def test_it_is_named_and_nothing_is_made_in_part(introduced: Sides, reason: str) -> None:
    a, _ = introduced
    case = CASES[reason]
    obstacle: AbstractContextManager[None] = _taken(introduced) if reason == "InnerEndsCollide" else nullcontext()
    with obstacle, pair_of(introduced).wire() as wire:
        if case.secret:
            a.store_secret(dict(case.secret))
        publish(introduced, {"a": case.a, "b": case.b})
        for side in introduced:
            if side.name in case.at:
                wait_until(lambda side=side: reason_of(side) == reason, 30, f"{reason} at {side.name}")  # type: ignore[misc]
                wait_until(lambda side=side: not made(side), 30, f"nothing at {side.name}")  # type: ignore[misc]
                found = connection_of(side)
                assert found is not None
                assert not found.up
                assert found.message
        assert a.machine.ping("10.20.0.12", 1) == 0
        assert not [thing for side in introduced if side.name in case.at for thing in made(side)]
        summary = wire.summary()
    summary.require_protected()
    assert summary.esp == 0
    a.set_key(PSK)


def test_what_both_can_do_connects_them_in_the_end(introduced: Sides) -> None:
    """The last test. None of the refusals has left anything that is in the way."""
    a, b = introduced
    with pair_of(introduced).wire() as wire:
        publish(introduced, {})
        for side in introduced:
            wait_until(side.connected, 30, f"connection of {side.name}")
            wait_until(side.network_connected, 30, f"link of {side.name}")
        assert a.machine.ping("10.20.0.12", 3) == 3
        assert all(made(side) for side in (a, b)), "what is looked for is there once they are connected"
        summary = wire.summary()
    summary.require_protected()
    assert summary.esp > 0


def made(side: Side) -> list[str]:
    """What a node has of a connection."""
    ports = [name for name in side.switch.vsctl("list-ports br-cloud || true").split() if name.startswith("ist")]
    loaded = [*side.node.new_ike().view().loaded]
    inner = [line for line in sh("ip -o route", side.name).splitlines() if "isinner" in line]
    policies = [str(policy) for policy in side.node.protect_policies()]
    return [*ports, *loaded, *inner, *policies, *map(str, side.node.associations())]
