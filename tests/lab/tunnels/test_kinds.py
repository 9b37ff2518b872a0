"""Every kind of tunnel and of protection between two clouds, changed in place while a network is stretched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from tests.lab.tunnels import changes
from tests.lab.tunnels.shown import Tunnel, evidence, status_or_error, wait_shown
from tests.testbed.host.process import wait_until
from tests.testbed.install.federation import Federation, apply
from tests.testbed.install.installation import Installation
from tests.testbed.wan.nat import Nat, nat
from tests.testbed.workload.tenant import Stretch, Tenant, reachable_stretch

pytestmark = pytest.mark.stage("untouched")

CIDR = "10.26.0.0/24"
IKE_PORT = 4501
PING_SECONDS = 0.05
LOST_PINGS = 20
"""A second: who answers a negotiation sends by the new SA before its initiator has installed it."""
GRE = Tunnel("GRE", "Transport", "None", 1424)
GENEVE = Tunnel("Geneve", "Transport", "None", 1416)


@pytest.fixture(scope="module")
def nat_of_b(federation: Federation) -> Iterator[Nat]:
    """A NAT that B's gateway node is not behind yet."""
    with nat(federation.b.cloud.gateway, federation.lab.state.namespaces, IKE_PORT) as found:
        yield found


@pytest.fixture(scope="module")
def peers(federation: Federation, nat_of_b: Nat) -> Iterator[Federation]:
    """Both clouds as peers of this module alone; all is as before in the end, and nothing in clear was on the WAN."""
    with federation.lab.wan.capture(nats=(nat_of_b,)) as capture, federation.unchanged_inventory():
        federation.introduce()
        yield federation
        changes.declare_uplinks(federation.b, None)
        federation.remove_peers()
    capture.summary().require_protected()


@pytest.fixture(scope="module")
def stretch(peers: Federation) -> Iterator[Stretch]:
    """A network that is stretched by GRE, which carries the largest packets: machines need no larger MTU later."""
    changes.change_encapsulation(peers, "GRE")
    with reachable_stretch(peers, "kinds", CIDR) as found:
        yield found
    peers.settle()


def require(peers: Federation, stretch: Stretch, nat_of_b: Nat, at_a: Tunnel, at_b: Tunnel) -> None:
    """Machines reach each other by this tunnel, both clouds show it, and only ESP of its form is on the WAN."""
    for side, wanted in ((peers.a, at_a), (peers.b, at_b)):
        wait_shown(side, wanted)
    for tenant in (stretch.tenant, stretch.remote):
        wait_until(partial(_has_mtu, tenant, at_a.mtu), 30, f"an MTU of {at_a.mtu} in cloud {tenant.cloud.name}")
    for side, peer in ((peers.a, peers.b), (peers.b, peers.a)):
        require_evidence(side, peer, at_a if side is peers.a else at_b)
    stretch.wait_for_ping()
    here, there = stretch.local, stretch.remotes[0]
    with peers.lab.wan.capture(nats=(nat_of_b,)) as capture:
        for source, target in ((here, there), (there, here)):
            assert source.ping(str(target.address)).all_answered
            assert source.ping(str(target.address), count=3, size=at_a.mtu, df=True).all_answered
        assert all(exchange.intact for exchange in stretch.exchange())
    summary = capture.summary()
    summary.require_protected()
    assert summary.esp >= 2 * 16, "each packet is seen on both sides of the router"
    assert summary.in_udp == (0 if at_a.nat == "None" else summary.esp)


def require_evidence(side: Installation, peer: Installation, wanted: Tunnel) -> None:
    """`diagnose` says that all is well, soon, and by what."""

    def found() -> dict[str, str]:
        with suppress(RuntimeError):  # the SAs may just be replaced by others
            layers = evidence(side, peer.cloud.cloud_id)
            return layers if f"frames of {wanted.mtu} bytes come back" in layers["mtu"] else {}
        return {}

    try:
        layers = wait_until(found, 60, f"the path's MTU in the diagnosis of cloud {side.cloud.name}", poll_seconds=1)
    except TimeoutError:
        evidence(side, peer.cloud.cloud_id)  # its error has what is not well
        raise
    assert f"up to {wanted.mtu} bytes cross whole" in layers["mtu"]
    nats = {"None": "no NAT", "Local": "our gateway is behind NAT", "Remote": "the peer's gateway is behind NAT"}
    for word in (wanted.key_exchange, nats[wanted.nat], "-prfsha384", "at most "):
        assert word in layers["ike"]
    for word in (wanted.encapsulation, f"{wanted.mode.lower()} mode", wanted.esp_cipher, "at most "):
        assert word in layers["esp"]


def _has_mtu(tenant: Tenant, mtu: int) -> bool:
    return bool(tenant.project.connection.network.get_network(tenant.network_id).mtu == mtu)


def test_gre(peers: Federation, stretch: Stretch, nat_of_b: Nat) -> None:
    changes.change_encapsulation(peers, "GRE")
    require(peers, stretch, nat_of_b, GRE, GRE)


def test_geneve(peers: Federation, stretch: Stretch, nat_of_b: Nat) -> None:
    changes.change_encapsulation(peers, "Geneve")
    require(peers, stretch, nat_of_b, GENEVE, GENEVE)


def test_gateway_behind_a_nat(peers: Federation, stretch: Stretch, nat_of_b: Nat) -> None:
    """And then no longer."""
    changes.change_encapsulation(peers, "Geneve")
    nat_of_b.enter()
    changes.declare_uplinks(peers.b, [{"publicAddress": str(nat_of_b.address.ip), "ikePort": IKE_PORT}])
    at_a, at_b = (Tunnel("Geneve", "Tunnel", found, 1388) for found in ("Remote", "Local"))
    require(peers, stretch, nat_of_b, at_a, at_b)
    nat_of_b.leave()
    changes.declare_uplinks(peers.b, None)
    require(peers, stretch, nat_of_b, GENEVE, GENEVE)


def test_hybrid_key_exchange_that_charon_cannot_do_is_named(peers: Federation, stretch: Stretch) -> None:
    changes.offer_hybrid(peers)
    for side, peer in ((peers.a, peers.b), (peers.b, peers.a)):
        wait_until(
            lambda: changes.hybrid_reason(side, peer) == "HybridNotSupported",  # noqa: B023
            30,
            f"the reason in cloud {side.cloud.name}",
        )
        # Meanwhile the SAs may just be replaced by others.
        text = f"not hybrid: {peer.cloud.cloud_id} (HybridNotSupported)"
        wait_until(lambda: text in status_or_error(side), 30, f"the status of cloud {side.cloud.name}")  # noqa: B023
    apply(peers.policies)
    peers.wait_for_peers()
    stretch.wait_for_ping()


def test_certificates_instead_of_the_key(
    peers: Federation, stretch: Stretch, nat_of_b: Nat, record_property: Callable[[str, object], None]
) -> None:
    """One cloud after the other; then nobody has the key any more."""
    changes.change_encapsulation(peers, "Geneve")
    stretch.wait_for_ping()
    a, b = peers.a, peers.b
    seen = [_certified(side) for side in peers.both]
    with stretch.local.start_ping(str(stretch.remotes[0].address), PING_SECONDS) as pings:
        for side, peer in ((a, b), (b, a)):
            changes.trust(side, peer)
        for side, peer in ((a, b), (b, a)):
            before = [each.cloud.gateway.spis() for each in peers.both]
            changes.use_certificate(side, peer)
            for each, old in zip(peers.both, before, strict=True):
                changes.renewed(each, old)
        for side, peer in ((a, b), (b, a)):
            changes.forget_key(side, peer)
        require(peers, stretch, nat_of_b, GENEVE, GENEVE)
        result = pings.stop()
    for side, times in zip(peers.both, seen, strict=True):
        assert _certified(side) > times, "each gateway has checked the other one's certificate"
    record_property("pings lost while both clouds moved to certificates", f"{result.lost} of {result.transmitted}")
    assert result.lost <= LOST_PINGS, result


def _certified(side: Installation) -> int:
    """How often charon on the gateway node has accepted a certificate of the other gateway."""
    log = side.cloud.gateway.log("charon").read_text(errors="replace")
    return len(re.findall(r"authentication of '\S+' with ECDSA\S* successful", log))
