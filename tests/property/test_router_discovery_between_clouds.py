"""Discovery of IPv6 routers between clouds, by the flows that are rendered: the origin alone speaks for its routers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.model import names
from tests.flowinterpreter.clouds import Break, Clouds, Gateway, Network
from tests.flowinterpreter.plans import Link, Place, attachment, node_plan
from tests.flowinterpreter.verdict import violations
from tests.kernel.frames import frame, icmpv6, ipv6_udp, neighbour_discovery

ORIGIN, RECEIVERS = "cloud-a", ("cloud-b", "cloud-c")
CLOUDS = (ORIGIN, *RECEIVERS)
PLACES = {cloud: Place(cloud, f"gw-{cloud[-1]}", f"192.0.{index}.1") for index, cloud in enumerate(CLOUDS, 2)}
NETWORK = "0a9af7a5-9cbb-4d3c-8d4e-000000000001"
NAME = names.link_name(ORIGIN, NETWORK)
NUMBER = {cloud: number for number, cloud in enumerate(CLOUDS, 1)}
ID = {cloud: 0x100000 + number for cloud, number in NUMBER.items()}
GATEWAY, LINK_LOCAL, OTHER = "fd00::1", "fe80::1", "fd00::77"
MAC, EVERYBODY, ROUTERS = "fa:16:3e:00:00:77", "33:33:00:00:00:01", "33:33:00:00:00:02"
SOLICITATION, ADVERTISEMENT, REDIRECT = 133, 134, 137
Stretched = Mapping[str, bool]
"""Whether IPv6 subnets are stretched to each receiver."""
CLAIMS: Mapping[str, Callable[[str], str]] = {
    "advertisement": lambda address: neighbour_discovery(136, OTHER, "ff02::1", address, MAC),
    "solicitation from it": lambda address: neighbour_discovery(135, address, "ff02::1", OTHER, MAC),
    "search for a duplicate": lambda address: neighbour_discovery(135, "::", "ff02::1", address, MAC),
}


def clouds(stretched: Stretched, broken: Break = str) -> Clouds:
    """Three clouds, of which the receivers reach each other through the origin."""
    return Clouds([_gateway(cloud, stretched) for cloud in CLOUDS], broken)


def _gateway(cloud: str, stretched: Stretched) -> Gateway:
    others = RECEIVERS if cloud == ORIGIN else (ORIGIN,)
    links = [_link(cloud, other, stretched) for other in others]
    knows = cloud == ORIGIN or stretched[cloud]
    addresses = ("10.20.0.1", *((GATEWAY, LINK_LOCAL) if knows else ()))
    found = attachment(PLACES[cloud], ORIGIN, NETWORK, links, addresses)
    return Gateway(cloud, PLACES[cloud].name, node_plan(PLACES[cloud], PLACES.values(), [found]), frozenset())


def _link(cloud: str, other: str, stretched: Stretched) -> Link:
    receiver = other if cloud == ORIGIN else cloud
    behind = {NUMBER[c]: ID[receiver] + 0x1000 * NUMBER[c] for c in RECEIVERS if c != receiver}
    number = NUMBER[other] if cloud == ORIGIN else None
    return Link(PLACES[other], ID[receiver], {}, number, behind, stretched[receiver])


def reached(switches: Clouds, sender: str, destination: str, body: str) -> set[str]:
    """Who gets a frame of a cloud's machine."""
    journey = switches.send(Network(sender, NAME), frame(destination, MAC, body))
    assert violations(journey) == []
    assert set(journey.copies.values()) <= {1}
    return {network.cloud for network in journey.copies}


@st.composite
def frames(draw: st.DrawFn) -> tuple[str, int, str]:
    """The cloud that sends it, the type, and where it is sent to."""
    types = st.sampled_from((SOLICITATION, ADVERTISEMENT, REDIRECT))
    destinations = st.sampled_from((EVERYBODY, ROUTERS, "fa:16:3e:00:00:99"))
    return draw(st.sampled_from(CLOUDS)), draw(types), draw(destinations)


stretches = st.fixed_dictionaries({receiver: st.booleans() for receiver in RECEIVERS})


@given(stretches, st.lists(frames(), min_size=1, max_size=8))
def test_discovery_crosses_in_one_direction_each(stretched: Stretched, sent: list[tuple[str, int, str]]) -> None:
    _check_discovery(clouds(stretched), stretched, sent)


def _check_discovery(switches: Clouds, stretched: Stretched, sent: list[tuple[str, int, str]]) -> None:
    for sender, type_, destination in sent:
        if sender == ORIGIN:
            wanted = {c for c in RECEIVERS if stretched[c] and type_ != SOLICITATION}
        else:
            wanted = {ORIGIN} if stretched[sender] and type_ == SOLICITATION else set()
        assert reached(switches, sender, destination, icmpv6(type_)) == wanted


@given(st.sampled_from(CLOUDS), st.sampled_from(sorted(CLAIMS)), st.sampled_from((GATEWAY, LINK_LOCAL, OTHER)))
def test_only_the_origin_claims_the_addresses_of_its_routers(sender: str, claim: str, address: str) -> None:
    got = reached(clouds(dict.fromkeys(RECEIVERS, True)), sender, EVERYBODY, CLAIMS[claim](address))
    others = set(CLOUDS) - {sender}
    assert got == (others if sender == ORIGIN or address == OTHER else set())


def test_the_origin_drops_claims_of_a_receiver_that_does_not() -> None:
    """Also in what it hands on to other receivers."""

    def unguarded(flow: str) -> str:
        return flow.replace("set_field:0x6->reg4,goto_table:10", "goto_table:4") if ",reg1=0," in flow else flow

    switches = clouds(dict.fromkeys(RECEIVERS, True), unguarded)
    assert reached(switches, ORIGIN, EVERYBODY, CLAIMS["advertisement"](OTHER)) == set(RECEIVERS)
    for address in (GATEWAY, LINK_LOCAL):
        got = [reached(switches, "cloud-b", EVERYBODY, claim(address)) for claim in CLAIMS.values()]
        assert got == [set()] * len(CLAIMS)


def test_dhcpv6_never_crosses() -> None:
    switches = clouds(dict.fromkeys(RECEIVERS, True))
    for sender in CLOUDS:
        assert reached(switches, sender, EVERYBODY, ipv6_udp(546, 547)) == set()
        assert reached(switches, sender, EVERYBODY, ipv6_udp(547, 546)) == set()


def test_a_guard_that_forgets_advertisements_is_found() -> None:
    def broken(flow: str) -> str:
        return flow.replace("icmp6,icmp_type=134", "icmp6,icmp_type=200")

    stretched = dict.fromkeys(RECEIVERS, True)
    with pytest.raises(AssertionError):
        _check_discovery(clouds(stretched, broken), stretched, [("cloud-b", ADVERTISEMENT, EVERYBODY)])
