"""Both clouds compute the same of each pair of gateways, and only a gateway that can be reached waits for the other."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.federation.agreement import Agreement
from isthmus.core.federation.pairing import Pairing, pairing
from isthmus.core.federation.uplinks import published, unique_parts
from isthmus.core.placement.gateways import Gateway
from isthmus.model.actions import Problem
from isthmus.model.api.v1alpha1.cloudpeer import PeerGateway, TunnelIDRange
from isthmus.model.api.v1alpha1.gatewaynode import Uplink
from isthmus.model.facts.gateway import NodeHealth
from isthmus.model.node.tunnel import Encapsulation, Gre, ModeName, Vxlan

NATS = st.sampled_from([None, "Behind", "Forwarded"])
OURS = st.builds(PeerGateway, name=st.just("gw-a"), address=st.just("192.0.2.1"), nat=NATS)
THEIRS = st.builds(PeerGateway, name=st.just("gw-b"), address=st.just("198.51.100.1"), nat=NATS)


def with_any_addresses(name: str, ipv4: str, ipv6: str) -> st.SearchStrategy[PeerGateway]:
    addresses = st.sampled_from([(ipv4, None), (ipv6, None), (ipv4, ipv6)])
    return st.builds(
        lambda pair, nat: PeerGateway(name=name, address=pair[0], ipv6_address=pair[1], nat=nat), addresses, NATS
    )


OURS_OF_ANY_VERSION = with_any_addresses("gw-a", "192.0.2.1", "2001:db8:a::1")
THEIRS_OF_ANY_VERSION = with_any_addresses("gw-b", "198.51.100.1", "2001:db8:b::1")
MODES: st.SearchStrategy[ModeName] = st.sampled_from(["Auto", "Transport", "Tunnel"])


def agreement(mode: ModeName, initiator: bool) -> Agreement:
    return Agreement(Vxlan(14789), TunnelIDRange(), ("p",), ("p",), initiator, mode=mode)


@given(OURS_OF_ANY_VERSION, THEIRS_OF_ANY_VERSION, MODES, st.booleans(), st.sampled_from([Vxlan(14789), Gre()]))
def test_both_sides_compute_the_same(
    ours: PeerGateway, theirs: PeerGateway, mode: ModeName, initiator: bool, kind: Encapsulation
) -> None:
    here = pairing(replace(agreement(mode, initiator), encapsulation=kind), ours, theirs)
    there = pairing(replace(agreement(mode, not initiator), encapsulation=kind), theirs, ours)
    if isinstance(here, Problem) or isinstance(there, Problem):
        assert isinstance(here, Problem)
        assert isinstance(there, Problem)
        assert here.reason == there.reason
        return
    assert here.initiator != there.initiator
    for found in ("tunnel_mode", "through_nat", "ip_version"):
        assert getattr(here, found) == getattr(there, found)
    assert not (here.passive and there.passive)
    assert not here.passive or there.initiator
    assert here.passive == (theirs.nat == "Behind")


@given(OURS_OF_ANY_VERSION, THEIRS_OF_ANY_VERSION, MODES)
def test_ipv4_is_used_if_both_have_it_and_ipv6_has_transport_mode_only_if_both_name_it(
    ours: PeerGateway, theirs: PeerGateway, mode: ModeName
) -> None:
    found = pairing(agreement(mode, True), ours, theirs)
    versions = [{":" in address for address in gateway.addresses} for gateway in (ours, theirs)]
    common = versions[0] & versions[1]
    if isinstance(found, Problem):
        assert (found.reason == "AddressFamiliesDiffer") == (not common)
        return
    assert found.ip_version == (4 if False in common else 6)
    assert found.ip_version == 4 or found.tunnel_mode or mode == "Transport"


@given(OURS, THEIRS, MODES, st.booleans())
def test_transport_mode_is_for_pairs_without_a_nat(
    ours: PeerGateway, theirs: PeerGateway, mode: ModeName, initiator: bool
) -> None:
    for encapsulation in (Vxlan(14789), Gre()):
        found = pairing(replace(agreement(mode, initiator), encapsulation=encapsulation), ours, theirs)
        has_nat = ours.nat is not None or theirs.nat is not None
        if ours.nat == theirs.nat == "Behind":
            assert isinstance(found, Problem)
            assert found.reason == "NobodyReachable"
        elif has_nat and mode == "Transport":
            assert isinstance(found, Problem)
            assert found.reason == "TransportThroughNAT"
        else:
            assert isinstance(found, Pairing)
            assert found.tunnel_mode == (has_nat or mode == "Tunnel")
            assert found.through_nat == has_nat


@st.composite
def uplinks(draw: st.DrawFn) -> Uplink | None:
    """All that the API server lets pass."""
    address = draw(st.sampled_from([None, "192.0.2.11", "203.0.113.1"]))
    reachable = draw(st.booleans())
    port = draw(st.sampled_from([None, 4501])) if address and reachable else None
    return None if address is None and reachable else Uplink(public_address=address, ike_port=port, reachable=reachable)


@given(uplinks())
def test_what_is_published_of_a_gateway(uplink: Uplink | None) -> None:
    found = published(Gateway("gw-a1", "host", "192.0.2.11", 1500, NodeHealth("Usable"), uplink))
    assert found.name == "gw-a1"
    assert found.address == (uplink.public_address if uplink and uplink.public_address else "192.0.2.11")
    assert (found.nat == "Behind") == (uplink is not None and not uplink.reachable)
    assert found.nat != "Forwarded" or found.address != "192.0.2.11"
    assert found.ike_port is None or found.nat == "Forwarded"
    assert found.nat is not None or found == PeerGateway(name="gw-a1", address="192.0.2.11")


def test_gateways_behind_one_address_share_it_but_no_port() -> None:
    def parts(name: str, **more: object) -> set[str]:
        return {*unique_parts(PeerGateway(name=name, address="203.0.113.1", **more))}

    hidden = parts("one", nat="Behind")
    assert hidden.isdisjoint(parts("other", nat="Behind"))
    assert hidden.isdisjoint(parts("other", nat="Forwarded"))
    assert not parts("one", nat="Forwarded").isdisjoint(parts("other", nat="Forwarded"))
    assert parts("one", nat="Forwarded", ike_port=4501).isdisjoint(parts("other", nat="Forwarded"))
    assert not parts("one").isdisjoint(parts("other"))
