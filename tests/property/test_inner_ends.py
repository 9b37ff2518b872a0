"""Ends inside tunnel mode: both gateways compute the same, and what one node uses never collides with anything."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.node.inner import inner_ends, is_inner, unusable
from isthmus.model import names
from isthmus.model.node.tunnel import TunnelEnds

NAMES = st.from_regex(r"[a-z][a-z0-9.-]{0,8}", fullmatch=True)
PAIRS = st.lists(NAMES, min_size=2, max_size=2, unique=True)
FEW = st.integers(0, 9).map(lambda number: TunnelEnds(f"240.0.0.{2 * number}", f"240.0.0.{2 * number + 1}"))


@given(PAIRS)
def test_both_gateways_compute_the_same_two_addresses(pair: list[str]) -> None:
    one, other = pair
    here, there = inner_ends(one, other), inner_ends(other, one)
    assert (here.local, here.remote) == (there.remote, there.local)
    assert here.local != here.remote
    for address in (here.local, here.remote):
        assert IPv4Address(address) in IPv4Network("240.0.0.0/4")
        assert IPv4Address(address) not in IPv4Network("255.255.255.254/31")
        assert IPv4Address(address) not in IPv4Network("240.0.0.0/31")
    assert is_inner(here)
    assert is_inner(there)


@pytest.mark.parametrize(
    ("digest", "lower"), [(0, "240.0.0.2"), (2**27 - 3, "255.255.255.252"), (2**27 - 2, "240.0.0.2")]
)
def test_first_and_last_pair(monkeypatch: pytest.MonkeyPatch, digest: int, lower: str) -> None:
    """The pairs of the first address of class E and of the limited broadcast address are not used."""
    monkeypatch.setattr(names, "digest", lambda *_parts, digits: f"{digest:0{digits}x}")
    assert inner_ends("a", "b") == TunnelEnds(lower, str(IPv4Address(lower) + 1))


def test_known_ends_for_implementers_of_other_gateways() -> None:
    """They never change: two releases that differ would have no tunnel."""
    assert inner_ends("gw-a1.cloud-a", "gw-b1.cloud-b") == TunnelEnds("243.36.37.234", "243.36.37.235")


@given(PAIRS)
def test_others_are_no_inner_ends(pair: list[str]) -> None:
    ends = inner_ends(*pair)
    assert not is_inner(TunnelEnds("192.0.2.2", "192.0.2.3"))
    assert not is_inner(TunnelEnds("2001:db8::2", "2001:db8::3"))
    assert not is_inner(TunnelEnds("2001:db8::2", ends.remote))
    assert not is_inner(TunnelEnds(ends.local, "192.0.2.3"))
    assert not is_inner(TunnelEnds(ends.local, ends.local))


@given(
    st.dictionaries(NAMES, FEW | st.tuples(NAMES, NAMES).filter(lambda p: p[0] != p[1]).map(lambda p: inner_ends(*p))),
    st.sets(st.integers(0, 19).map(lambda number: f"240.0.0.{number}")),
    st.data(),
)
def test_usable_ends_never_collide(wanted: dict[str, TunnelEnds], node: set[str], data: st.DataObject) -> None:
    installed = data.draw(st.sets(st.sampled_from(sorted(wanted)))) if wanted else set()
    refused = unusable(wanted, installed, node)
    used = [address for name in wanted.keys() - refused.keys() for address in (wanted[name].local, wanted[name].remote)]
    assert len(used) == len(set(used))
    assert node.isdisjoint(used)
    for name, owner in refused.items():
        ends = {wanted[name].local, wanted[name].remote}
        assert owner in {f"address {address} of this node" for address in ends & node} | {
            f"tunnel {other}"
            for other in wanted.keys() - refused.keys()
            if ends & {wanted[other].local, wanted[other].remote}
        }, "for a reason"
    assert not any(name in installed and owner.startswith("tunnel") for name, owner in refused.items()) or any(
        refused[name].removeprefix("tunnel ") in installed for name in refused if name in installed
    ), "an installed tunnel is not refused for one that is not"


def test_an_installed_tunnel_has_precedence() -> None:
    ends = TunnelEnds("240.0.0.2", "240.0.0.3")
    wanted = {"one": ends, "other": TunnelEnds(ends.remote, ends.local)}
    assert unusable(wanted, (), ()) == {"other": "tunnel one"}
    assert unusable(wanted, {"other"}, ()) == {"one": "tunnel other"}
    assert unusable(wanted, {"other"}, {"240.0.0.3"}) == dict.fromkeys(wanted, "address 240.0.0.3 of this node")
